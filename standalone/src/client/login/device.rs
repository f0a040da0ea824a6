//! The device grant (RFC 8628): a person allows this program to act for them, in a browser anywhere.

use std::time::Duration;

use serde_json::Value;

use crate::client::api::{Answer, Call, Service};
use crate::client::context::Context;
use crate::client::credential::{Credential, Root};
use crate::client::error::ClientError;
use crate::client::output::member;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Between looks, where the service does not say; and what it asks for by `slow_down` (section 3.5).
const INTERVAL: u64 = 5;
const SLOWER: u64 = 5;

/// Shows the code, and waits for the person.
pub(super) async fn ask(
    ctx: &mut Context,
    client_id: &str,
    scopes: &[String],
) -> Result<Credential, ClientError> {
    let mut form = vec![("client_id", client_id.to_owned())];
    if !scopes.is_empty() {
        form.push(("scope", scopes.join(" ")));
    }
    let path = ["oauth2", "device_authorization"];
    let call = Call::post(Service::Identity, &path).form(form).about("the login");
    let asked = ctx.api.send(&call).await?;
    let number = |name: &str| asked.body.get(name).and_then(Value::as_u64);
    let device_code = asked.body.get("device_code").and_then(Value::as_str);
    let device_code = device_code.ok_or_else(|| asked.malformed("it has no device_code"))?;
    let life = number("expires_in").unwrap_or(600);
    show(ctx, &asked, life);
    let form = vec![
        ("grant_type", GRANT.to_owned()),
        ("client_id", client_id.to_owned()),
        ("device_code", device_code.to_owned()),
    ];
    let call = Call::post(Service::Identity, &["oauth2", "token"]).form(form).about("the login");
    let answer = wait(ctx, &call, (life, number("interval").unwrap_or(INTERVAL))).await?;
    let refresh_token = answer.body.get("refresh_token").and_then(Value::as_str);
    let refresh_token = refresh_token.ok_or_else(|| answer.malformed("it has no refresh_token"))?;
    let root = Root::Session {
        client_id: client_id.to_owned(),
        refresh_token: refresh_token.to_owned().into(),
    };
    let mut credential = Credential { root, access: None };
    let wrong = |why: &str| answer.malformed(why);
    credential.take(&answer.body, ctx.api.clock.now()).map_err(wrong)?;
    Ok(credential)
}

fn show(ctx: &mut Context, asked: &Answer, life: u64) {
    let said = |name: &str| member(&asked.body, name);
    let (uri, code) = (said("verification_uri"), said("user_code"));
    ctx.out.note(&format!("Open {uri} and enter the code {code}"));
    let whole = said("verification_uri_complete");
    if !whole.is_empty() {
        ctx.out.note(&format!("or open {whole} and compare the code"));
    }
    ctx.out.note(&format!(
        "Waiting until you allow it, {} minutes at most; ^C gives up.",
        life.div_ceil(60)
    ));
}

/// Looks for the answer, not more often than the service allows.
async fn wait(
    ctx: &Context,
    call: &Call,
    (life, mut interval): (u64, u64),
) -> Result<Answer, ClientError> {
    let late = || ClientError::LoggedOut("nobody allowed it in time".to_owned());
    let clock = &ctx.api.clock;
    let end = clock.now() + Duration::from_secs(life);
    loop {
        clock.sleep(Duration::from_secs(interval)).await;
        let error = match ctx.api.send(call).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match &error {
            ClientError::Answered(answered) => match answered.kind.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval += SLOWER,
                "expired_token" => return Err(late()),
                "access_denied" => return Err(ClientError::LoggedOut("it was denied".to_owned())),
                _ if error.may_pass() => interval += SLOWER,
                _ => return Err(error),
            },
            // As section 3.5 asks for: less often, where the network is the trouble.
            ClientError::Unreachable(_) => interval += SLOWER,
            _ => return Err(error),
        }
        if clock.now() >= end {
            return Err(late());
        }
    }
}
