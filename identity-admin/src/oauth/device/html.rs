//! What people see at `/device`. Works without scripts; colours follow the browser's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(super) const WRONG: &str = "Nobody of that organisation has this name and password.";
pub(super) const LOCKED: &str = "That was wrong too often. Try again later.";
pub(super) const UNKNOWN: &str = "There is no such code, or it has expired.";

const STYLE: &str = "\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
body{max-width:26rem;margin:12vh auto;padding:0 1rem}\
h1{font-size:1.4rem}label{display:block;margin:.8rem 0}\
input{box-sizing:border-box;width:100%;padding:.6rem;font:inherit}\
button{padding:.6rem 1.2rem;margin:.6rem .6rem 0 0;font:inherit}\
.code{font-family:ui-monospace,monospace;letter-spacing:.1em}\
[role=alert]{border-left:.3rem solid #c33;padding:.2rem .8rem}";

/// What a person is asked.
#[derive(Debug, Clone)]
pub(super) struct Consent {
    /// The short code, as it is shown on the other device.
    pub(super) code: String,
    pub(super) client: String,
    pub(super) scopes: Vec<&'static str>,
    /// What was typed before.
    pub(super) tenant: String,
    pub(super) name: String,
}

/// What the content security policy knows the style by.
pub(super) fn style_hash() -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    format!("sha256-{}", BASE64.encode(digest))
}

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (body) } }
        }
    }
}

fn alert(fault: Option<&str>) -> Markup {
    html! { @if let Some(fault) = fault { p role="alert" { (fault) } } }
}

/// The form for a code.
pub(super) fn code(fault: Option<&str>) -> Markup {
    page(
        "Connect a device",
        &html! {
            (alert(fault))
            form method="get" action="/device" {
                label {
                    "The code that your device shows"
                    input.code name="user_code" required autofocus autocomplete="off"
                        autocapitalize="characters" spellcheck="false" placeholder="XXXX-XXXX";
                }
                button { "Continue" }
            }
        },
    )
}

/// What is asked for, and the form to allow it.
pub(super) fn consent(consent: &Consent, fault: Option<&str>) -> Markup {
    page(
        "Allow access?",
        &html! {
            p {
                strong { (consent.client) } " asks to act for you. Go on only if "
                strong { "you" } " started it, and it shows the code "
                strong.code { (consent.code) } "."
            }
            p { "Of what you may do, it may use:" }
            ul { @for scope in &consent.scopes { li { code { (scope) } } } }
            (alert(fault))
            form method="post" action="/device" {
                input type="hidden" name="user_code" value=(consent.code);
                label {
                    "Organisation"
                    input name="tenant" value=(consent.tenant) required autocomplete="organization"
                        autocapitalize="none" spellcheck="false";
                }
                label {
                    "E-mail address or user name"
                    input name="name" value=(consent.name) required autocomplete="username"
                        autocapitalize="none" spellcheck="false";
                }
                label {
                    "Password"
                    input type="password" name="password" required autocomplete="current-password";
                }
                button name="decision" value="allow" { "Log in and allow" }
                button name="decision" value="deny" formnovalidate { "Deny" }
            }
        },
    )
}

pub(super) fn allowed() -> Markup {
    page(
        "Access allowed",
        &html! { p { "Your device goes on by itself. You may close this page." } },
    )
}

pub(super) fn denied() -> Markup {
    page("Access denied", &html! { p { "Your device is told. You may close this page." } })
}

pub(super) fn unavailable() -> Markup {
    page("Not now", &html! { p { "Too many people are logging in. Try again in a moment." } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        let evil = r#""><script>alert(1)</script>"#;
        let asked = Consent {
            code: "WDJB-MJHT".to_owned(),
            client: evil.to_owned(),
            scopes: vec!["audit:read"],
            tenant: evil.to_owned(),
            name: evil.to_owned(),
        };
        let page = consent(&asked, Some(WRONG)).into_string();
        assert!(!page.contains("<script") && page.contains("WDJB-MJHT"), "{page}");
        assert!(page.contains("audit:read") && page.contains(WRONG));
        assert!(!page.contains(" style=") && !page.contains("onclick"), "no policy allows it");
    }
}
