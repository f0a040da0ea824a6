//! Many writers at once: nobody sees a deadlock, and each tenant's changes are numbered without gaps.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::json;

use super::bed::{Answer, Bed};
use super::on_each_database;

on_each_database!(
    writers_of_many_tenants_never_deadlock_and_leave_no_gap,
    of_many_creations_one_wins,
    of_two_teams_that_enter_each_other_one_does,
    a_repeat_that_comes_meanwhile_gets_the_first_answer,
);

fn tally(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.status).or_default() += 1;
    }
    tally
}

async fn writers_of_many_tenants_never_deadlock_and_leave_no_gap(bed: &Bed) {
    let tenants = ["a", "b", "c"];
    for tenant in tenants {
        bed.tenant(tenant).await;
    }
    let life = async |n: usize| {
        let base = format!("/v1/tenants/{}", tenants[n % 3]);
        let user = json!({"email": format!("u{n}@x.y")});
        let user = bed.post(&format!("{base}/users"), user).await.must(201).id();
        let team = json!({"name": format!("t{n}")});
        let team = bed.post(&format!("{base}/teams"), team).await.must(201).id();
        let member = format!("{base}/teams/{team}/members/user/{user}");
        bed.put(&member, json!(null)).await.must(201);
        // A refusal takes no number.
        let taken = json!({"name": format!("t{n}")});
        bed.post(&format!("{base}/teams"), taken).await.must(409);
        let (team, user) = (format!("{base}/teams/{team}"), format!("{base}/users/{user}"));
        if n.is_multiple_of(2) {
            bed.patch(&team, json!({"description": "d"})).await.must(200);
            bed.delete(&user).await.must(204);
        } else {
            bed.post(&format!("{user}/deactivate"), json!(null)).await.must(200);
            bed.delete(&team).await.must(204);
        }
    };
    join_all((0..30).map(life)).await;
    for tenant in tenants {
        // Its making: two changes; of each life that is its own, five or, as sessions end, six.
        let changes = bed.changes(tenant).await.len();
        assert!(changes >= 2 + 10 * 5, "{tenant}: {changes}");
    }
}

async fn of_many_creations_one_wins(bed: &Bed) {
    let same = || bed.post("/v1/tenants/acme/users", json!({"email": "ada@x.y"}));
    let users = join_all((0..20).map(|_| same())).await;
    assert_eq!(tally(&users), BTreeMap::from([(201, 1), (409, 19)]));
    let tenant = |n: usize| {
        let administrator = json!({"email": "a@b.c"});
        json!({"id": "new", "name": format!("New {n}"), "administrator": administrator})
    };
    let tenants = join_all((0..20).map(|n| bed.post("/v1/tenants", tenant(n)))).await;
    assert_eq!(tally(&tenants), BTreeMap::from([(201, 1), (409, 19)]));
    bed.changes("acme").await;
    bed.changes("new").await;
}

async fn of_two_teams_that_enter_each_other_one_does(bed: &Bed) {
    let mut asked = Vec::new();
    for n in 0..8 {
        let (a, b) = (bed.team(&format!("a{n}")).await, bed.team(&format!("b{n}")).await);
        for (outer, inner) in [(&a, &b), (&b, &a)] {
            asked.push(format!("/v1/tenants/acme/teams/{outer}/members/team/{inner}"));
        }
    }
    let answers = join_all(asked.iter().map(|path| bed.put(path, json!(null)))).await;
    for pair in answers.chunks(2) {
        assert_eq!(tally(pair), BTreeMap::from([(201, 1), (409, 1)]));
    }
    bed.changes("acme").await;
}

async fn a_repeat_that_comes_meanwhile_gets_the_first_answer(bed: &Bed) {
    let path = ("POST", "/v1/tenants/acme/teams");
    let body = json!({"name": "t"}).to_string();
    let ask = || bed.ask(path, &[("idempotency-key", "k")], body.clone());
    let answers = join_all((0..10).map(|_| ask())).await;
    assert_eq!(tally(&answers), BTreeMap::from([(201, 10)]));
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_eq!(bed.changes("acme").await.len(), 3);
}
