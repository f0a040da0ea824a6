//! `triad completions`: what shells complete.

use super::context::Context;
use super::error::ClientError;

/// For which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
bash:  triad completions bash > ~/.local/share/bash-completion/completions/triad
zsh:   triad completions zsh > \"${fpath[1]}/_triad\"
fish:  triad completions fish > ~/.config/fish/completions/triad.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Writes the script for the whole of `root`.
pub(crate) fn run(
    ctx: &mut Context,
    args: &CompletionsArgs,
    mut root: clap::Command,
) -> Result<(), ClientError> {
    let name = root.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut root, name, &mut script);
    ctx.out.bytes(&script)
}
