//! Commands, as they are typed, against a small server.

mod audit;
mod checks;
mod errors;
mod lists;
mod login;
mod server;
mod surface;
mod typed;
mod valid;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::{CommandFactory as _, Parser as _};
use serde_json::Value;
use tempfile::TempDir;

use super::clock::Clock;
use super::error::ClientError;
use super::output::Output;
use super::profile::{Profile, Store};
use super::{Command, Exit, Global, context, run_in};
use server::{Reply, Seen, Server};

/// A program as the real one is.
#[derive(Debug, clap::Parser)]
#[command(name = "triad")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// A server, a home, and a clock.
struct World {
    server: Server,
    clock: Clock,
    env: BTreeMap<&'static str, String>,
    home: TempDir,
}

/// What became of a command.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Ran {
    /// Its output as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

impl World {
    /// Its server answers each request by `answer`, which is told how many came before.
    async fn new(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::new(answer).await;
        let env = [("TRIAD_SERVER", server.url.clone()), ("TRIAD_TENANT", "acme".to_owned())];
        let home = tempfile::tempdir().unwrap();
        Self { server, clock: Clock::manual(), env: env.into(), home }
    }

    /// Its server answers everything so.
    async fn of(body: Value) -> Self {
        Self::new(move |_, _| Reply::json(200, &body)).await
    }

    fn store(&self) -> Store {
        Store::at(&self.path("triad/config.json"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file in the home.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Keeps a profile under the default name.
    async fn keep(&self, profile: Profile) {
        self.store().change("default", |kept| *kept = profile).await.unwrap();
    }

    /// Runs what was typed behind `triad`; words with blanks stand in single quotes.
    async fn run(&self, line: &str) -> Ran {
        let (out, err) = (Buffer::default(), Buffer::default());
        let exit = self.run_to(line, out.clone(), err.clone()).await;
        Ran { exit, out: out.text(), err: err.text() }
    }

    /// The same, written to elsewhere.
    async fn run_to(&self, line: &str, out: impl Write + Send + 'static, err: Buffer) -> Exit {
        let cli = Cli::try_parse_from(std::iter::once("triad".to_owned()).chain(words(line)));
        let Cli { global, command } = cli.unwrap_or_else(|error| panic!("{line}: {error}"));
        let env = |name: &str| self.env.get(name).cloned();
        let output = Output::to(global.output, out, err.clone());
        let ran = async {
            let mut ctx = context(&global, &env, output, self.clock.clone(), self.store())?;
            Box::pin(run_in(&mut ctx, command, Cli::command)).await
        };
        let ran: Result<Exit, ClientError> = ran.await;
        ran.unwrap_or_else(|error| {
            Output::to(global.output, std::io::sink(), err).error(&error);
            error.exit()
        })
    }
}

/// Splits at blanks; what stands in single quotes is one word.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

/// Bytes that were written.
#[derive(Debug, Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}
