//! Several alphas: one that is away, hangs or breaks off is passed over within one deadline, and a commit
//! whose answer is lost is told as one whose outcome is not known.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use authz_edge::graph::client::{CommitError, Options};
use authz_edge::graph::{GraphDb, GraphError, Mode};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::engine;

const READ: &str = "schema(pred: [xid]) { type }";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections break off, new ones too.
    Cut,
    /// Connections stay, and nothing comes through.
    Hangs,
}

/// A way to the real alpha, at an address of its own.
struct Way {
    address: String,
    state: watch::Sender<State>,
}

impl Way {
    async fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, alpha) = (listener.local_addr()?.to_string(), engine("TRIAD_DGRAPH")?);
        let (state, states) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(forward(socket, alpha.clone(), states.clone()));
            }
        });
        Ok(Self { address, state })
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn forward(mut socket: TcpStream, alpha: String, mut states: watch::Receiver<State>) {
    let Ok(mut to) = TcpStream::connect(alpha).await else { return };
    loop {
        let state = *states.borrow_and_update();
        match state {
            State::Cut => return,
            State::Hangs => {}
            State::Open => {
                tokio::select! {
                    _ = copy_bidirectional(&mut socket, &mut to) => return,
                    changed = states.changed() => if changed.is_err() { return },
                }
                continue;
            }
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

async fn two_ways() -> Result<([Way; 2], Arc<GraphDb>)> {
    let ways = [Way::new().await?, Way::new().await?];
    let graph = GraphDb::dgraph(&Options {
        alphas: ways.iter().map(|way| way.address.clone()).collect(),
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_millis(500),
        tls: Default::default(),
    })?;
    Ok((ways, Arc::new(graph)))
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_at_another_alpha_when_one_is_away_or_hangs() -> Result<()> {
    let (ways, graph) = two_ways().await?;
    for broken in [State::Cut, State::Hangs] {
        for mode in [Mode::BestEffort, Mode::Strict] {
            for at in [0, 1] {
                graph.query(mode, READ, &[]).await?;
                ways[at].set(broken);
                let answer = graph.query(mode, READ, &[]).await;
                ensure!(answer.is_ok(), "way {at} is {broken:?}: {answer:?}");
                ensure!(graph.begin(READ).await.is_ok(), "a transaction while {at} is {broken:?}");
                ways[at].set(State::Open);
            }
        }
        for way in &ways {
            way.set(broken);
        }
        let answer = graph.query(Mode::Strict, READ, &[]).await;
        ensure!(matches!(answer, Err(GraphError::Unavailable(_))), "{answer:?}");
        for way in &ways {
            way.set(State::Open);
        }
        graph.query(Mode::Strict, READ, &[]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_not_known_and_is_not_repeated_elsewhere() -> Result<()> {
    for broken in [State::Cut, State::Hangs] {
        let (ways, graph) = two_ways().await?;
        let (transaction, _) = graph.begin(READ).await?;
        // The other one would take it.
        ways[0].set(broken);
        let quad = "_:n <Outbox.change> \"{}\" .\n".to_owned();
        let committed = transaction.commit(quad, String::new()).await;
        let unknown = matches!(committed, Err(CommitError::Graph(GraphError::Unknown(_))));
        ensure!(unknown, "{broken:?}: {committed:?}");
    }
    Ok(())
}
