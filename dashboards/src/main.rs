//! Writes the files of this folder: `cargo run -p dashboards`. A test says when they are not those of the code.
//! `dashboards draw` makes pictures of the dashboards.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use dashboards::draw;
use dashboards::source::Source;

/// Writes Grafana's dashboards and Prometheus's rules.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw each dashboard as an SVG, of what a running Prometheus answers.
    Draw {
        /// Its base URL, such as http://127.0.0.1:9090.
        #[arg(long)]
        prometheus: String,
        /// The folder that the pictures are written to.
        #[arg(long)]
        out: PathBuf,
        /// How far back they go, from now.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_080))]
        minutes: u32,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        None => write(Path::new(env!("CARGO_MANIFEST_DIR")), dashboards::files()?),
        Some(Command::Draw { prometheus, out, minutes }) => {
            let window = draw::last(minutes, SystemTime::now())?;
            let source = Source::new(&prometheus)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let pictures = runtime.block_on(draw::pictures(&source, window))?;
            write(&out, pictures.into_iter().map(|(uid, text)| (format!("{uid}.svg"), text)))
        }
    }
}

fn write(root: &Path, files: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    for (name, text) in files {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
