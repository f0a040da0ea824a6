//! All commands, and which module runs each.

use super::context::Context;
use super::error::ClientError;
use super::exit::Exit;
use super::{
    account, audit, check, completions, demo, explain, key, login, profiles, relationship,
    resource, role, team, tenant, user,
};

/// What a person can ask of a deployment.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Ask whether a subject may do something to a resource: exit code 0 allowed, 1 denied
    Check(Box<check::CheckArgs>),
    /// Show why a check is decided as it is, path by path
    Explain(Box<explain::ExplainArgs>),
    /// Query, follow, export and send audit events
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage users
    #[command(subcommand)]
    User(Box<user::UserCommand>),
    /// Manage teams and who is in them
    #[command(subcommand)]
    Team(team::TeamCommand),
    /// Manage roles
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Give a role to a subject
    Grant(relationship::GrantArgs),
    /// Take a role from a subject
    Revoke(relationship::RevokeArgs),
    /// List and write what binds subjects, roles and resources
    #[command(subcommand)]
    Relationships(relationship::RelationshipsCommand),
    /// Manage resources and what is above them
    #[command(subcommand)]
    Resource(resource::ResourceCommand),
    /// Manage service accounts
    #[command(subcommand)]
    ServiceAccount(account::AccountCommand),
    /// Manage the API keys of service accounts
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make a tenant with people, nested teams, roles, documents and a week of audit events
    Demo(demo::DemoArgs),
    /// Log in, as a person or with an API key
    Login(login::LoginArgs),
    /// Forget who one is, and end the session
    Logout,
    /// Show who one is
    Whoami,
    /// Choose among deployments
    #[command(subcommand)]
    Profile(profiles::ProfileCommand),
    /// Write what a shell completes
    Completions(completions::CompletionsArgs),
}

/// Runs a command. `root` is the whole command line.
pub(crate) async fn dispatch(
    ctx: &mut Context,
    command: Command,
    root: fn() -> clap::Command,
) -> Result<Exit, ClientError> {
    match command {
        Command::Check(args) => return check::run(ctx, *args).await,
        Command::Explain(args) => explain::run(ctx, *args).await,
        Command::Audit(command) => Box::pin(audit::run(ctx, command)).await,
        Command::Tenant(command) => tenant::run(ctx, command).await,
        Command::User(command) => Box::pin(user::run(ctx, *command)).await,
        Command::Team(command) => Box::pin(team::run(ctx, command)).await,
        Command::Role(command) => role::run(ctx, command).await,
        Command::Grant(args) => relationship::grant(ctx, args).await,
        Command::Revoke(args) => relationship::revoke(ctx, args).await,
        Command::Relationships(command) => relationship::run(ctx, command).await,
        Command::Resource(command) => Box::pin(resource::run(ctx, command)).await,
        Command::ServiceAccount(command) => Box::pin(account::run(ctx, command)).await,
        Command::Key(command) => Box::pin(key::run(ctx, command)).await,
        Command::Demo(args) => Box::pin(demo::run(ctx, args)).await,
        Command::Login(args) => Box::pin(login::login(ctx, &args)).await,
        Command::Logout => login::logout(ctx).await,
        Command::Whoami => login::whoami(ctx).await,
        Command::Profile(command) => profiles::run(ctx, command).await,
        Command::Completions(args) => completions::run(ctx, &args, root()),
    }
    .map(|()| Exit::Ok)
}
