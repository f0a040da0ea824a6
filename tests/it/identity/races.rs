//! Races end in one winner, and nobody sees a deadlock.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

use super::{Answer, Identities};

/// How many answers have which status.
fn tally(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.status.as_u16()).or_default() += 1;
    }
    tally
}

#[tokio::test]
async fn of_a_hundred_racing_creations_one_wins() -> Result<()> {
    let identities =
        Identities::new(&[("MYSQL__MAX_OPEN_CONNS", "16"), ("MYSQL__ACQUIRE_TIMEOUT_MS", "20000")])
            .await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let same = json!({"email": "ada@example.com"});
    let users = (0..100).map(|_| service.post("/v1/tenants/acme/users", same.clone()));
    ensure!(tally(&try_join_all(users).await?) == BTreeMap::from([(201, 1), (409, 99)]));
    let tenant = |n: usize| {
        json!({"id": "new", "name": format!("New {n}"),
        "administrator": {"email": "a@b.c"}})
    };
    let tenants = (0..100).map(|n| service.post("/v1/tenants", tenant(n)));
    ensure!(tally(&try_join_all(tenants).await?) == BTreeMap::from([(201, 1), (409, 99)]));
    ensure!(identities.changes("acme").await?.len() == 3);
    ensure!(identities.changes("new").await?.len() == 2);
    service.stop().await
}

#[tokio::test]
async fn racing_memberships_leave_no_ring_and_are_told_once() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__ACQUIRE_TIMEOUT_MS", "20000")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let base = "/v1/tenants/acme/teams";
    let mut pairs = Vec::new();
    for n in 0..20 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        pairs.push((service.team("acme", &a).await?, service.team("acme", &b).await?));
    }
    // Each into the other at once: both may not be.
    let into = |outer: &str, inner: &str| format!("{base}/{outer}/members/team/{inner}");
    let both = pairs.iter().flat_map(|(a, b)| [into(a, b), into(b, a)]);
    let answers = try_join_all(both.map(async |path| service.put(&path).await)).await?;
    for pair in answers.chunks(2) {
        ensure!(tally(pair) == BTreeMap::from([(201, 1), (409, 1)]), "{pair:?}");
    }
    // The same by many at once: made once, told once.
    let user = service.user("acme", "u").await?;
    let before = identities.changes("acme").await?.len();
    let path = format!("{base}/{}/members/user/{user}", pairs[0].0);
    let answers = try_join_all((0..50).map(|_| service.put(&path))).await?;
    ensure!(tally(&answers) == BTreeMap::from([(200, 49), (201, 1)]));
    ensure!(identities.changes("acme").await?.len() == before + 1);
    service.stop().await
}

#[tokio::test]
async fn of_many_who_know_one_version_one_changes_it() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__ACQUIRE_TIMEOUT_MS", "20000")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let user = format!("/v1/tenants/acme/users/{}", service.user("acme", "u").await?);
    let patches =
        (0..50).map(|n| service.patch(&user, "\"1\"", json!({"display_name": format!("n{n}")})));
    ensure!(tally(&try_join_all(patches).await?) == BTreeMap::from([(200, 1), (412, 49)]));
    // Without a condition all are made, one after the other, and none is lost.
    let patches = (0..50).map(|n| {
        let name = format!("a{n}");
        service.patch(&user, "", json!({"attributes": {name: n}}))
    });
    ensure!(tally(&try_join_all(patches).await?) == BTreeMap::from([(200, 50)]));
    let left = service.get(&user).await?.must(200)?;
    ensure!(left.body["attributes"].as_object().is_some_and(|all| all.len() == 50));
    ensure!(left.body["version"] == 52);
    identities.changes("acme").await?;
    service.stop().await
}

#[tokio::test]
async fn what_stays_is_listed_once_while_others_write() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let users = "/v1/tenants/acme/users";
    let mut stay = Vec::new();
    for n in 0..20 {
        stay.push(service.user("acme", &format!("stay{n}")).await?);
    }
    let churn = async {
        for n in 0..60 {
            let id = service.user("acme", &format!("go{n}")).await?;
            service.delete(&format!("{users}/{id}")).await?.must(204)?;
        }
        anyhow::Ok(())
    };
    let walk = async {
        for order in ["", "&sort=user_name", "&sort=-created_at", "&sort=-user_name"] {
            let listed = service.list(users, order).await?;
            for id in &stay {
                let times = listed.iter().filter(|user| user["id"] == id.as_str()).count();
                ensure!(times == 1, "{id} is listed {times} times with {order}");
            }
        }
        Ok(())
    };
    let (churned, walked) = tokio::join!(churn, walk);
    churned?;
    walked?;
    service.stop().await
}

#[tokio::test]
async fn writes_of_many_tenants_and_kinds_meet_without_a_deadlock_that_shows() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__ACQUIRE_TIMEOUT_MS", "20000")]).await?;
    let service = identities.start().await?;
    for tenant in ["a", "b", "c"] {
        service.tenant(tenant).await?;
    }
    let life = async |tenant: &str, n: usize| -> Result<()> {
        let base = format!("/v1/tenants/{tenant}");
        let user = service.user(tenant, &format!("u{n}")).await?;
        let team = service.team(tenant, &format!("t{n}")).await?;
        service.put(&format!("{base}/teams/{team}/members/user/{user}")).await?.must(201)?;
        let (team, user) = (format!("{base}/teams/{team}"), format!("{base}/users/{user}"));
        let name = json!({"description": "d"});
        // In both orders, at once with the others'.
        if n.is_multiple_of(2) {
            service.patch(&team, "", name).await?.must(200)?;
            service.delete(&user).await?.must(204)?;
        } else {
            service.post(&format!("{user}/deactivate"), Value::Null).await?.must(200)?;
            service.delete(&team).await?.must(204)?;
        }
        Ok(())
    };
    let lives = (0..60).map(|n| life(["a", "b", "c"][n % 3], n));
    join_all(lives).await.into_iter().collect::<Result<Vec<_>>>()?;
    for tenant in ["a", "b", "c"] {
        ensure!(identities.changes(tenant).await?.len() == 2 + 20 * 5);
    }
    service.stop().await
}
