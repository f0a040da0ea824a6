//! `triad login`, `logout` and `whoami`.

mod claims;
mod device;

use std::path::{Path, PathBuf};

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::api::{Api, Call, Service};
use super::context::Context;
use super::credential::{Auth, Credential, Root};
use super::error::ClientError;
use super::input;
use super::profile::Profile;
use super::scopes::scope;
use super::shape::{Cell, Shape};
use super::time::rfc3339;
use claims::claims;

/// How one logs in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --api-key-file a person logs in: the command shows a code, and a browser anywhere takes it with name and
password. With it, a program's API key is checked and kept. Either is kept with the server and the tenant in the profile,
which no other user of this machine can read, and is sent to the services of that profile only.")]
pub struct LoginArgs {
    /// A file with an API key; `-` is stdin
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Ask for these scopes only
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope, conflicts_with = "api_key_file")]
    scopes: Vec<String>,
    /// The client id of this program, as `device.clients` of identity-admin has it
    #[arg(long, value_name = "ID", default_value = "triad-cli", conflicts_with = "api_key_file")]
    client_id: String,
}

/// What every API key begins with.
const KEY_PREFIX: &str = "triad_";

const WHO: Shape = Shape { columns: &[], id: Cell::At("subject") };

/// Logs in, and keeps what that brought.
pub(crate) async fn login(ctx: &mut Context, args: &LoginArgs) -> Result<(), ClientError> {
    // Nothing proves who is only about to log in.
    ctx.api.auth = Auth::None;
    let credential = match &args.api_key_file {
        Some(file) => by_key(&ctx.api, file).await?,
        None => device::ask(ctx, &args.client_id, &args.scopes).await?,
    };
    let who =
        credential.access.as_ref().map(|access| claims(access.token.reveal())).unwrap_or_default();
    let own = who.get("tid").and_then(Value::as_str).map(str::to_owned);
    let tenant = ctx.settings.tenant.clone().or(own);
    let bases = ctx.settings.bases.clone();
    let [identity, authz, audit] = Service::ALL.map(|service| bases.of(service).to_string());
    let name = ctx.settings.profile.clone();
    let kept = credential.clone();
    let keep = |profile: &mut Profile| {
        (profile.server, profile.credential) = (Some(identity.clone()), Some(kept));
        profile.tenant = tenant.clone();
        profile.identity_url = None;
        profile.authz_url = (authz != identity).then_some(authz);
        profile.audit_url = (audit != identity).then_some(audit);
    };
    ctx.store.change(&name, keep).await?;
    let shown = shown(&name, &identity, tenant.as_deref(), &who);
    ctx.out.show(&shown, &WHO)
}

/// Checks a key by getting an access token with it.
async fn by_key(api: &Api, file: &Path) -> Result<Credential, ClientError> {
    let mut credential = Credential::key(input::secret(file)?);
    api.trade(&mut credential).await?;
    Ok(credential)
}

/// Forgets the credential of the profile, and ends its session. An API key stays valid: others may use it.
pub(crate) async fn logout(ctx: &mut Context) -> Result<(), ClientError> {
    let name = ctx.settings.profile.clone();
    let mut forgotten = None;
    ctx.store.change(&name, |profile| forgotten = profile.credential.take()).await?;
    let Some(credential) = forgotten else {
        return ctx.out.done(
            &format!("nobody was logged in as profile {name}"),
            &name,
            &Value::Null,
        );
    };
    if let Root::Session { client_id, refresh_token } = credential.root {
        let form = vec![("token", refresh_token.reveal().to_owned()), ("client_id", client_id)];
        let call = Call::post(Service::Identity, &["oauth2", "revoke"]).form(form);
        // It is forgotten here, whatever becomes of it there.
        ctx.api.send(&call.about("ending the session")).await?;
    }
    ctx.out.done(&format!("logged out of profile {name}"), &name, &Value::Null)
}

/// Shows who one is: what the issuer says of the credential or, where it does not say that to this caller, what is
/// written in the token.
pub(crate) async fn whoami(ctx: &mut Context) -> Result<(), ClientError> {
    let Some(token) = ctx.api.bearer(Service::Identity).await? else {
        return Err(ClientError::LoggedOut("nobody is logged in here".to_owned()));
    };
    let who = if token.starts_with(KEY_PREFIX) {
        let mut credential = Credential::key(token);
        ctx.api.trade(&mut credential).await?;
        credential.access.map(|access| claims(access.token.reveal())).unwrap_or_default()
    } else {
        introspected(ctx, &token).await?
    };
    let (name, tenant) = (ctx.settings.profile.clone(), ctx.settings.tenant.clone());
    let server = ctx.settings.bases.of(Service::Identity).to_string();
    ctx.out.show(&shown(&name, &server, tenant.as_deref(), &who), &WHO)
}

/// What the issuer says of a token that asks about itself.
async fn introspected(ctx: &mut Context, token: &str) -> Result<Value, ClientError> {
    let form = vec![("token", token.to_owned())];
    let call = Call::post(Service::Identity, &["oauth2", "introspect"]).form(form);
    let call = call.header(AUTHORIZATION, &format!("Bearer {token}"))?.about("the credential");
    match ctx.api.send(&call).await {
        Ok(answer) if answer.body.get("active").and_then(Value::as_bool) == Some(true) => {
            Ok(answer.body)
        }
        Ok(_) => Err(ClientError::LoggedOut("the credential does not hold".to_owned())),
        Err(ClientError::Answered(answered)) if answered.status == 403 => {
            ctx.out.note(
                "what the token says; the issuer confirms it to holders of token:introspect only",
            );
            Ok(claims(token))
        }
        Err(ClientError::Answered(answered)) if answered.status == 401 => Err(
            ClientError::LoggedOut(format!("the credential does not hold ({})", answered.detail)),
        ),
        Err(error) => Err(error),
    }
}

/// Who one is, for people and scripts. No secret is in it.
fn shown(profile: &str, server: &str, tenant: Option<&str>, who: &Value) -> Value {
    let text = |name: &str| who.get(name).cloned().unwrap_or_default();
    let until = who.get("exp").and_then(Value::as_i64);
    let until = until.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let scopes = who.get("scope").and_then(Value::as_str).unwrap_or_default();
    let scopes: Vec<_> = scopes.split_whitespace().collect();
    json!({"profile": profile, "server": server, "tenant": tenant, "subject": text("sub"),
        "subject_tenant": text("tid"), "scopes": scopes, "token_valid_until": until.map(rfc3339)})
}
