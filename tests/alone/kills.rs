//! kill -9 at any moment loses nothing that was acknowledged, and what is derived agrees with it.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use tests::bed::{Triad, until};

const ROUNDS: u64 = 6;
const T: &str = "/v1/tenants/acme";

/// What was acknowledged.
#[derive(Default)]
struct Ledger {
    /// Ids of rows.
    events: Mutex<Vec<String>>,
    /// Users that were put into the team.
    members: Mutex<Vec<String>>,
    users: Mutex<Vec<String>>,
    /// Documents below the folder.
    documents: Mutex<Vec<String>>,
}

fn note(list: &Mutex<Vec<String>>, entry: String) {
    list.lock().expect("no poison").push(entry);
}

/// Writes until the process is gone.
async fn write(triad: &Triad, ledger: &Ledger, team: &str, round: u64) {
    let events = async {
        for n in 0.. {
            let batch: Vec<_> = (0..20)
                .map(|m| json!({"id": format!("e-{round}-{n}-{m}"), "action": "x.y"}))
                .collect();
            let answer = triad.ask(Method::POST, &format!("{T}/audit"), json!(batch)).await;
            let Ok(answer) = answer.and_then(|answer| answer.must(202)) else { return };
            for receipt in answer.body["events"].as_array().into_iter().flatten() {
                note(&ledger.events, receipt["event_id"].as_str().unwrap_or_default().to_owned());
            }
        }
    };
    let people = async {
        for n in 0.. {
            let user = json!({"email": format!("u{round}-{n}@acme.example")});
            let answer = triad.ask(Method::POST, &format!("{T}/users"), user).await;
            let Ok(Ok(id)) = answer.and_then(|answer| answer.must(201)).map(|answer| answer.id())
            else {
                return;
            };
            note(&ledger.users, id.clone());
            let path = format!("{T}/teams/{team}/members/user/{id}");
            let answer = triad.ask(Method::PUT, &path, Value::Null).await;
            if answer.and_then(|answer| answer.must(201)).is_err() {
                return;
            }
            note(&ledger.members, id);
        }
    };
    let graph = async {
        for n in 0.. {
            let id = format!("d-{round}-{n}");
            let list = json!({"writes": [{"op": "touch", "relationship": {"relation": "parent",
                "resource": {"type": "document", "id": id}, "parent": {"type": "folder", "id": "f"}}}]});
            let answer = triad.ask(Method::POST, &format!("{T}/relationships"), list).await;
            if answer.and_then(|answer| answer.must(200)).is_err() {
                return;
            }
            note(&ledger.documents, id);
        }
    };
    tokio::join!(events, people, graph);
}

async fn prepared(folder: &Path) -> Result<String> {
    let triad = Triad::start(folder).await?;
    triad.tenant("acme").await?;
    let team = json!({"name": "all"});
    let answer = triad.ask(Method::POST, &format!("{T}/teams"), team).await?.must(201)?;
    let team = answer.id()?;
    let folder = json!({"type": "folder", "id": "f"});
    triad.bind_reader("acme", ("team", &team), Some(folder), &answer.token).await?;
    triad.kill()?;
    Ok(team)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_nothing_that_was_acknowledged() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    let (team, ledger) = (prepared(&folder).await?, Ledger::default());
    for round in 0..ROUNDS {
        let triad = Triad::start(&folder).await?;
        // Not for synchronisation: the moment is what is tried.
        let moment = Duration::from_millis(150 + 1000 * u64::from(rand_byte()) / 256);
        tokio::select! {
            () = write(&triad, &ledger, &team, round) => {}
            () = tokio::time::sleep(moment) => {}
        }
        triad.kill()?;
    }
    let triad = Triad::start(&folder).await?;
    let all = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().expect("no poison"));
    let (events, users) = (all(&ledger.events), all(&ledger.users));
    let (members, documents) = (all(&ledger.members), all(&ledger.documents));
    let counts = (events.len(), users.len(), members.len(), documents.len());
    ensure!(counts.0 > 50 && counts.1 > 5 && counts.3 > 5, "too little was tried: {counts:?}");
    for id in &events {
        triad.get(&format!("{T}/audit/{id}")).await.context("an acknowledged event")?;
    }
    for id in &users {
        triad.get(&format!("{T}/users/{id}")).await.context("an acknowledged user")?;
    }
    // What is derived comes soon: memberships are in the graph, with the documents below the folder.
    for (at, user) in members.iter().enumerate() {
        let document = &documents[at % documents.len()];
        let asked = json!({"subject": {"type": "user", "id": user}, "action": {"name": "read"},
            "resource": {"type": "document", "id": document}});
        until("a member may read", async || {
            let answer = triad.ask(Method::POST, &format!("{T}/check"), asked.clone()).await?;
            let answer = answer.must(200)?;
            Ok(if answer.body["decision"] == true {
                Ok(())
            } else {
                Err(format!("{user} {document}"))
            })
        })
        .await?;
    }
    // Each user that was made is in the trail, once.
    until("the trail has every user", async || {
        let (mut told, mut cursor) =
            (std::collections::BTreeMap::<String, u32>::new(), String::new());
        loop {
            let path = format!("{T}/audit?limit=1000&action=user.created{cursor}");
            let page = triad.get(&path).await?;
            for event in page["events"].as_array().into_iter().flatten() {
                let id = event["resource_id"].as_str().unwrap_or_default();
                *told.entry(id.to_owned()).or_default() += 1;
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let missing: Vec<_> = users.iter().filter(|id| told.get(*id) != Some(&1)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) })
    })
    .await?;
    triad.stop().await
}

fn rand_byte() -> u8 {
    uuid::Uuid::new_v4().as_bytes()[0]
}
