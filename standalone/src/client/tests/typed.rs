//! What can be typed, and what cannot.

use clap::CommandFactory as _;
use clap::Parser as _;
use clap::error::ErrorKind;
use serde_json::json;

use super::{Cli, Exit, World, words};

#[test]
fn the_command_line_is_whole() {
    Cli::command().debug_assert();
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    for (line, kind) in [
        ("check", ErrorKind::MissingRequiredArgument),
        ("check user:u-1 read", ErrorKind::MissingRequiredArgument),
        ("check robot:u-1 read document:d-9", ErrorKind::ValueValidation),
        ("check user:u-1 read d-9", ErrorKind::ValueValidation),
        ("check user:u-1 read document:d-9 --context [1]", ErrorKind::ValueValidation),
        ("check user:u-1 read document:d-9 --batch x", ErrorKind::ArgumentConflict),
        ("explain user:u-1 read", ErrorKind::MissingRequiredArgument),
        ("audit query --status maybe", ErrorKind::InvalidValue),
        ("audit query --limit 0", ErrorKind::ValueValidation),
        ("audit query --limit 1 --all", ErrorKind::ArgumentConflict),
        ("audit export --format xlsx", ErrorKind::InvalidValue),
        ("audit send --actor user:u-1", ErrorKind::MissingRequiredArgument),
        ("audit tail --interval soon", ErrorKind::ValueValidation),
        ("user scopes u-1 --set nonsense", ErrorKind::ValueValidation),
        ("user scopes u-1 --set audit:read --add audit:write", ErrorKind::ArgumentConflict),
        ("role put editor", ErrorKind::MissingRequiredArgument),
        ("team add writers u-1", ErrorKind::ValueValidation),
        ("key list", ErrorKind::MissingRequiredArgument),
        ("whoami --token a --token-file b", ErrorKind::ArgumentConflict),
        ("completions tcsh", ErrorKind::InvalidValue),
    ] {
        let words = std::iter::once("triad".to_owned()).chain(words(line));
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
    }
}

#[tokio::test]
async fn what_only_shows_later_is_refused_all_the_same() {
    let world = World::of(json!({})).await;
    for (line, says) in [
        ("user update 0190a5c4-7f3a-7000-8000-00000000abcd", "nothing to change"),
        ("resource put document:d-9", "--attributes or --parent"),
        ("audit query --from noon", "--from noon: no time"),
        ("audit query --from today --to yesterday", "later than --to"),
        ("grant user:u-1 editor --expires whenever", "--expires whenever"),
        ("check user:u-1 read document:d-9 --profile none", "no profile none"),
        ("role get ..", "is no id"),
        ("tenant list --server ftp://x", "http or https"),
        ("tenant list --tenant ACME", "--tenant ACME"),
        ("role put r -f /none/r.json", "/none/r.json"),
    ] {
        let ran = world.run(&format!("{line} -o table")).await;
        assert_eq!(ran.exit, Exit::Usage, "{line}: {ran:?}");
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
    }
    assert!(world.server.seen().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn every_shell_completes() {
    let world = World::of(json!({})).await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = world.run(&format!("completions {shell}")).await;
        assert_eq!(ran.exit, Exit::Ok);
        assert!(ran.out.contains("service-account"), "{shell}");
    }
}
