//! Lists on the real graph: every page of them, every way to ask, and what is never in one.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Answer, Edge, Edges, below, member, role};

async fn try_list(edge: &Edge, tenant: &str, what: &str) -> Result<Answer> {
    edge.ask(Method::GET, &format!("/v1/tenants/{tenant}/{what}"), &[], None).await
}

/// Every entry of a list, page by page; `what` has a query.
pub(crate) async fn list(edge: &Edge, tenant: &str, what: &str) -> Result<Vec<Value>> {
    let name = what.split(['?', '/']).next().unwrap_or(what);
    let (mut found, mut next) = (Vec::new(), String::new());
    for _ in 0..1000 {
        let page = try_list(edge, tenant, &format!("{what}{next}")).await?;
        ensure!(page.status == StatusCode::OK && !page.token.is_empty(), "{what}: {}", page.body);
        found.extend(page.body[name].as_array().context("no entries")?.iter().cloned());
        match page.body["cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(found),
        }
    }
    anyhow::bail!("{what} does not end")
}

/// A list with pages of any size has these entries, each once.
async fn has(edge: &Edge, tenant: &str, what: &str, wanted: &[Value]) -> Result<()> {
    let set = |entries: &[Value]| entries.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    for limit in [1, 3, 1000] {
        let paged = format!("{what}{}limit={limit}", if what.contains('?') { '&' } else { '?' });
        let found = list(edge, tenant, &paged).await?;
        ensure!(set(&found) == set(wanted), "{paged}: {found:#?}");
        ensure!(found.len() == wanted.len(), "{paged}: an entry came twice");
    }
    Ok(())
}

async fn put_role(edge: &Edge, tenant: &str, id: &str) -> Result<String> {
    let reader = json!({"permissions": [{"action": "read"}, {"action": "list"}]});
    edge.put(&format!("/v1/tenants/{tenant}/roles/{id}"), &reader).await
}

#[tokio::test]
async fn relationships_are_listed_by_every_side_of_them() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t, other) = (edges.start().await?, edges.tenant("by"), edges.tenant("other"));
    for (tenant, id) in [(&t, "reader"), (&t, "editor"), (&other, "reader")] {
        put_role(&edge, tenant, id).await?;
    }
    let doc = json!({"type": "document", "id": "d:1"});
    let mut soon = role("team", "t", "reader", &Value::Null);
    soon["expires_at"] = "2999-01-01T00:00:00.000001Z".into();
    let mut late = role("user", "v", "editor", &doc);
    late["expires_at"] = "2020-01-01T00:00:00Z".into();
    let members = [member("user", "u", "t"), member("team", "t", "s"), member("user", "v", "t")];
    let plain = role("user", "u", "reader", &Value::Null);
    let scoped = role("user", "u", "reader", &doc);
    let typed = role("user", "*", "editor", &json!({"type": "document"}));
    let parents =
        [below(("document", "d:1"), ("folder", "f")), below(("document", "d-2"), ("folder", "f"))];
    let bindings = [plain.clone(), scoped.clone(), typed.clone(), soon.clone(), late.clone()];
    for all in [&members[..], &parents, &bindings] {
        edge.write(&t, "touch", all).await?;
    }
    edge.write(&other, "touch", &[member("user", "u", "t"), plain.clone()]).await?;
    // In a list it says so; everything else can be written as it is listed.
    late["expired"] = true.into();
    let ([of_u, of_team, of_v], [first, second]) = (members.clone(), parents.clone());
    let bindings = [plain.clone(), scoped.clone(), typed.clone(), soon.clone(), late.clone()];
    for (filter, wanted) in [
        ("kind=member_of", members.to_vec()),
        ("kind=has_role", bindings.to_vec()),
        ("subject=user:u", vec![of_u.clone(), plain.clone(), scoped.clone()]),
        ("subject=user:u&kind=member_of", vec![of_u.clone()]),
        ("subject=user:u&resource=document:d:1", vec![scoped.clone()]),
        ("subject=user:u&team=s", vec![]),
        ("subject=user:*", vec![typed.clone()]),
        ("subject=user:v&role=reader", vec![]),
        ("subject=service_account:u", vec![]),
        ("team=t", vec![of_u, of_v]),
        ("team=s", vec![of_team]),
        ("role=reader", vec![plain, scoped.clone(), soon.clone()]),
        ("role=editor", vec![typed, late.clone()]),
        ("kind=has_role&resource=document:d:1", vec![scoped.clone(), late.clone()]),
        ("resource=document:d:1", vec![scoped, late.clone(), first.clone()]),
        ("resource=document:d:1&role=editor", vec![late]),
        ("resource=document:d:1&parent=folder:f", vec![first.clone()]),
        ("parent=folder:f", vec![first.clone(), second.clone()]),
        ("resource_type=document", vec![first, second]),
        ("resource_type=folder", vec![]),
        ("parent=folder:f&resource_type=document", parents.to_vec()),
        ("parent=folder:f&resource_type=folder", vec![]),
        ("role=none", vec![]),
    ] {
        has(&edge, &t, &format!("relationships?{filter}"), &wanted).await?;
    }
    // What is deleted is gone at once, whichever end of it.
    let gone = ["roles/editor", "subjects/user/u", "resources/folder/f", "subjects/team/s"];
    for path in gone {
        edge.delete(&format!("/v1/tenants/{t}/{path}")).await?;
        let body = if path.starts_with("roles") { json!({"permissions": []}) } else { json!({}) };
        edge.put(&format!("/v1/tenants/{t}/{path}"), &body).await?;
    }
    for (filter, wanted) in [
        ("kind=has_role", vec![soon]),
        ("kind=member_of", vec![member("user", "v", "t")]),
        ("resource=document:d:1", vec![]),
        ("role=editor", vec![]),
        ("team=s", vec![]),
        ("parent=folder:f", vec![]),
    ] {
        has(&edge, &t, &format!("relationships?{filter}"), &wanted).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_long_list_is_walked_in_pages_that_writes_do_not_disturb() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("long"));
    put_role(&edge, &t, "reader").await?;
    let on = |n: usize| json!({"type": "document", "id": format!("d-{n}")});
    // More than come with a root, several times; and between them subjects without anything.
    let mut all: Vec<_> = (0..150).map(|n| role("user", "u-0", "reader", &on(n))).collect();
    all.extend((0..300).map(|n| role("user", &format!("u-{n}"), "reader", &Value::Null)));
    all.extend((0..40).map(|n| member("user", "u-7", &format!("t-{n}"))));
    edge.write(&t, "touch", &all).await?;
    let bindings: Vec<_> = all.iter().filter(|r| r["relation"] == "has_role").cloned().collect();
    let members: Vec<_> = all.iter().filter(|r| r["relation"] == "member_of").cloned().collect();
    let set = |all: &[Value]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    for (what, wanted) in [
        ("kind=has_role&limit=37", &bindings[..]),
        ("kind=member_of&limit=7", &members),
        ("role=reader&limit=64", &bindings),
        ("subject=user:u-7&kind=member_of&limit=39", &members),
    ] {
        let found = list(&edge, &t, &format!("relationships?{what}")).await?;
        ensure!(found.len() == wanted.len() && set(&found) == set(wanted), "{what}");
    }
    // Half are deleted behind the first page: what stays is listed, what went is not.
    let page = try_list(&edge, &t, "relationships?role=reader&limit=20").await?;
    let first = page.body["relationships"].as_array().context("entries")?.clone();
    let (gone, stay): (Vec<_>, Vec<_>) =
        bindings.iter().filter(|b| !first.contains(b)).cloned().partition(|b| b["on"].is_null());
    edge.write(&t, "delete", &gone).await?;
    let cursor = page.body["cursor"].as_str().context("a cursor")?;
    let rest = format!("relationships?role=reader&limit=20&cursor={cursor}");
    let mut rest = try_list(&edge, &t, &rest).await?.body;
    let mut found = Vec::new();
    loop {
        found.extend(rest["relationships"].as_array().context("entries")?.iter().cloned());
        let Some(cursor) = rest["cursor"].as_str() else { break };
        let next = format!("relationships?role=reader&limit=20&cursor={cursor}");
        rest = try_list(&edge, &t, &next).await?.body;
    }
    ensure!(set(&found) == set(&stay) && found.len() == stay.len());
    Ok(())
}

#[tokio::test]
async fn what_stays_is_listed_once_while_others_write() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("churn"));
    put_role(&edge, &t, "reader").await?;
    let on = |n: usize| json!({"type": "document", "id": format!("d-{n}")});
    // Of each subject: what stays, and beside it what comes and goes, on every side that is listed.
    let stays: Vec<_> = (0..60)
        .flat_map(|n| {
            let id = format!("u-{n}");
            let plain = role("user", &id, "reader", &Value::Null);
            [plain, role("user", &id, "reader", &on(n)), role("user", "u-0", "reader", &on(60 + n))]
        })
        .collect();
    let goes: Vec<_> = (0..60)
        .flat_map(|n| {
            let id = format!("u-{n}");
            let other = role("user", &format!("v-{n}"), "reader", &Value::Null);
            [role("user", &id, "reader", &on(n + 1)), other]
        })
        .collect();
    let never = role("user", "u-0", "reader", &on(1000));
    edge.write(&t, "touch", &goes).await?;
    edge.write(&t, "touch", &[&stays[..], std::slice::from_ref(&never)].concat()).await?;
    edge.write(&t, "delete", std::slice::from_ref(&never)).await?;
    let churn = async {
        for n in 0_usize.. {
            let part = &goes[n % 10 * 12..][..12];
            edge.write(&t, if n % 20 < 10 { "delete" } else { "touch" }, part).await?;
            let v = format!("/v1/tenants/{t}/subjects/user/v-{}", n % 60);
            let gone = edge.ask(Method::DELETE, &v, &[], None).await?;
            ensure!(gone.status.is_success() || gone.status == StatusCode::NOT_FOUND);
        }
        Ok(())
    };
    let walk = async {
        for what in ["role=reader&limit=7", "kind=has_role&limit=5", "kind=has_role&limit=50"] {
            let found = list(&edge, &t, &format!("relationships?{what}")).await?;
            for stays in &stays {
                let times = found.iter().filter(|found| *found == stays).count();
                ensure!(times == 1, "{what}: {stays} is listed {times} times");
            }
            ensure!(found.iter().all(|one| stays.contains(one) || goes.contains(one)), "{what}");
        }
        Ok(())
    };
    tokio::select! { done = walk => done, ended = churn => ended }
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_part_and_goes_on_behind_it() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("wide"));
    put_role(&edge, &t, "reader").await?;
    put_role(&edge, &t, "rare").await?;
    let on = |n: usize| json!({"type": "document", "id": format!("d-{n}")});
    let all: Vec<_> = (0..2500).map(|n| role("user", "u", "reader", &on(n))).collect();
    for part in all.chunks(1000) {
        edge.write(&t, "touch", part).await?;
    }
    let rare = role("user", "u", "rare", &on(2499));
    edge.write(&t, "touch", std::slice::from_ref(&rare)).await?;
    let what = "relationships?subject=user:u&role=rare&limit=1000";
    let page = try_list(&edge, &t, what).await?;
    ensure!(page.body["cursor"].is_string(), "2501 bindings are more than a page looks at");
    ensure!(list(&edge, &t, what).await? == [rare]);
    Ok(())
}

#[tokio::test]
async fn roles_resources_and_subjects_are_listed_until_they_are_deleted() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t, other) = (edges.start().await?, edges.tenant("all"), edges.tenant("none"));
    let path = |what: &str| format!("/v1/tenants/{t}/{what}");
    for id in ["a", "b", "c"] {
        put_role(&edge, &t, id).await?;
        edge.put(&path(&format!("resources/document/{id}")), &json!({})).await?;
        edge.put(&path(&format!("subjects/user/{id}")), &json!({"active": id != "b"})).await?;
    }
    edge.put(&path("roles/d"), &json!({"name": "Duty", "permissions": []})).await?;
    edge.put(&path("resources/folder/d"), &json!({})).await?;
    edge.write(&t, "touch", &[role("user", "*", "a", &Value::Null)]).await?;
    for gone in ["roles/c", "resources/document/c", "subjects/user/c"] {
        edge.delete(&path(gone)).await?;
    }
    let id = |id: &str| json!({"id": id});
    let role = |id: &str| json!({"id": id, "permissions": 2});
    let duty = json!({"id": "d", "name": "Duty", "permissions": 0});
    has(&edge, &t, "roles", &[role("a"), role("b"), duty]).await?;
    has(&edge, &t, "resources/document", &[id("a"), id("b")]).await?;
    has(&edge, &t, "resources/none", &[]).await?;
    let user = |id: &str, active: bool| json!({"id": id, "active": active});
    has(&edge, &t, "subjects/user", &[user("a", true), user("b", false)]).await?;
    for what in ["roles", "resources/document", "subjects/user", "relationships?kind=has_role"] {
        has(&edge, &other, what, &[]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_filter_or_cursor_that_means_nothing_is_refused() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t, other) = (edges.start().await?, edges.tenant("bad"), edges.tenant("else"));
    for tenant in [&t, &other] {
        put_role(&edge, tenant, "a").await?;
        put_role(&edge, tenant, "b").await?;
        let bound = ["a", "b"].map(|id| role("user", "u", id, &Value::Null));
        edge.write(tenant, "touch", &bound).await?;
    }
    let cursor = async |what: &str| -> Result<String> {
        let page = try_list(&edge, &t, what).await?;
        Ok(page.body["cursor"].as_str().context("a cursor")?.to_owned())
    };
    let of_roles = cursor("roles?limit=1").await?;
    let of_user = cursor("relationships?subject=user:u&limit=1").await?;
    let good = format!("relationships?subject=user:u&limit=9&cursor={of_user}");
    ensure!(try_list(&edge, &t, &good).await?.body["relationships"][1].is_null(), "one is left");
    ensure!(try_list(&edge, &other, &good).await?.status == StatusCode::BAD_REQUEST);
    for (bad, says) in [
        ("relationships".to_owned(), "kind"),
        ("relationships?kind=parent".to_owned(), "kind"),
        ("relationships?subject=u".to_owned(), "subject"),
        ("relationships?team=t&role=a".to_owned(), "role"),
        ("relationships?owner=u".to_owned(), "owner"),
        ("relationships?kind=has_role&limit=0".to_owned(), "limit"),
        ("roles?limit=1001".to_owned(), "limit"),
        ("roles?limit=-1".to_owned(), "limit"),
        ("roles?cursor=AAAA".to_owned(), "cursor"),
        (format!("roles?cursor={of_user}"), "cursor"),
        (format!("resources/document?cursor={of_roles}"), "cursor"),
        (format!("relationships?subject=user:v&cursor={of_user}"), "cursor"),
        (format!("relationships?subject=user:u&kind=has_role&cursor={of_user}"), "cursor"),
    ] {
        let refused = try_list(&edge, &t, &bad).await?;
        ensure!(refused.status == StatusCode::BAD_REQUEST, "{bad}: {}", refused.status);
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(says), "{bad}: {}", refused.body);
    }
    ensure!(try_list(&edge, &t, "subjects/robot").await?.status == StatusCode::NOT_FOUND);
    ensure!(try_list(&edge, &t, "things/robot").await?.status == StatusCode::NOT_FOUND);
    Ok(())
}
