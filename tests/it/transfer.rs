//! A tenant's graph as a file, and back: what comes out is what went in, however often it was interrupted.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::edge::{Edge, Edges, below, member, question, role};
use crate::world::until;

/// More than come with their node in one page.
const MANY: usize = 450;

/// Files of a test, and the commands on them.
struct Desk<'a> {
    edges: &'a Edges,
    folder: tempfile::TempDir,
}

impl<'a> Desk<'a> {
    fn new(edges: &'a Edges) -> Result<Self> {
        Ok(Self { edges, folder: tempfile::tempdir()? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&self, tenant: &str, file: &Path, more: &[&str]) -> Result<Output> {
        let mut command = self.edges.command()?;
        command.args(["graph", "import", "--tenant", tenant, "--input"]).arg(file).args(more);
        Ok(command.stdin(Stdio::null()).output()?)
    }

    /// An import that must succeed; what it says.
    fn imported(&self, tenant: &str, file: &Path, more: &[&str]) -> Result<String> {
        let output = self.import(tenant, file, more)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// An import that must fail; why.
    fn refused(&self, tenant: &str, file: &Path, more: &[&str]) -> Result<String> {
        let output = self.import(tenant, file, more)?;
        ensure!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// What a tenant has, line by line.
    fn exported(&self, tenant: &str) -> Result<Vec<String>> {
        let file = self.path("exported.ndjson");
        let mut command = self.edges.command()?;
        command.args(["graph", "export", "--tenant", tenant, "--output"]).arg(&file);
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines_of(&file, tenant)
    }

    /// A file of these lines with header and end.
    fn file(&self, name: &str, lines: &[Value]) -> Result<PathBuf> {
        let header = json!({"header": {"format": "triad.graph", "version": 1, "tenant": "other",
            "epoch": "00000000000000ab", "revision": 7}});
        let count = |kind: &str| lines.iter().filter(|line| line.get(kind).is_some()).count();
        let end = json!({"end": {"roles": count("role"), "subjects": count("subject"),
            "resources": count("resource"), "relationships": count("relationship")}});
        let all = std::iter::once(&header).chain(lines).chain(std::iter::once(&end));
        let text: String = all.map(|line| format!("{line}\n")).collect();
        let path = self.path(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// The lines between header and end, which must be right.
fn lines_of(file: &Path, tenant: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)?;
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let header: Value = serde_json::from_str(&lines.remove(0))?;
    let end: Value = serde_json::from_str(&lines.pop().context("no end")?)?;
    ensure!(header["header"]["tenant"] == tenant, "{header}");
    let counts = end["end"].as_object().context("no counts")?;
    let counted: u64 = counts.values().filter_map(Value::as_u64).sum();
    ensure!(counted == lines.len() as u64, "{end} of {} lines", lines.len());
    Ok(lines)
}

fn values(lines: &[String]) -> Result<Vec<Value>> {
    let values: Result<_, _> = lines.iter().map(|line| serde_json::from_str(line)).collect();
    Ok(sorted(values?))
}

fn sorted(mut lines: Vec<Value>) -> Vec<Value> {
    lines.sort_by_cached_key(ToString::to_string);
    lines
}

fn bound(relationship: &Value) -> Value {
    json!({"relationship": relationship})
}

/// Something of every kind, and more of some than one page has.
async fn furnish(edge: &Edge, t: &str) -> Result<()> {
    let put = async |path: &str, body: Value| {
        edge.put(&format!("/v1/tenants/{t}/{path}"), &body).await.map(drop)
    };
    let permissions = json!([
        {"action": "read"},
        {"action": "edit", "on": {"type": "document"}, "condition": "subject.properties.level > 2"},
        {"action": "drop", "on": {"type": "folder", "id": "f \"1\""}},
    ]);
    put("roles/editor", json!({"name": "Editors", "permissions": permissions})).await?;
    put("roles/empty", json!({"permissions": []})).await?;
    put("subjects/user/ann", json!({"attributes": {"level": 3, "tags": ["a", "é"]}})).await?;
    put("subjects/service_account/bot", json!({"active": false})).await?;
    put("resources/document/d-1", json!({"attributes": {"owner": "ann"}})).await?;
    put("resources/document/alone", json!({})).await?;
    let mut ends = role("user", "ann", "editor", &json!({"type": "document"}));
    ends["expires_at"] = "2099-01-02T03:04:05.678901Z".into();
    let mut over = role("user", "ann", "empty", &Value::Null);
    over["expires_at"] = "2001-01-01T00:00:00Z".into();
    let mut all = vec![
        ends,
        role("team", "t-0", "editor", &Value::Null),
        role("user", "*", "empty", &Value::Null),
        role("service_account", "bot", "editor", &json!({"type": "folder", "id": "f-2"})),
        member("team", "t-0", "t-1"),
        member("team", "t-1", "t-0"),
        below(("document", "d-1"), ("folder", "f-2")),
        over,
    ];
    all.extend((0..MANY).map(|n| member("user", "ann", &format!("t-{n}"))));
    edge.write(t, "touch", &all).await?;
    let on = |n: usize| json!({"type": "document", "id": format!("d-{n}")});
    let bindings: Vec<_> = (0..MANY).map(|n| role("team", "t-0", "editor", &on(n))).collect();
    edge.write(t, "touch", &bindings).await.map(drop)
}

#[tokio::test]
async fn what_is_exported_is_imported_elsewhere_alike_and_once() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, desk) = (edges.start().await?, Desk::new(&edges)?);
    let (a, b) = (edges.tenant("a"), edges.tenant("b"));
    furnish(&edge, &a).await?;
    // What was deleted, and what led to it, is not exported.
    edge.write(&a, "touch", &[member("user", "ann", "gone")]).await?;
    edge.delete(&format!("/v1/tenants/{a}/subjects/team/gone")).await?;
    let of_a = desk.exported(&a)?;
    let count =
        |kind: &str| of_a.iter().filter(|line| line.starts_with(&format!("{{\"{kind}\""))).count();
    ensure!((count("role"), count("relationship")) == (2, 2 * MANY + 7), "{}", of_a.len());
    let file = desk.path("a.ndjson");
    std::fs::rename(desk.path("exported.ndjson"), &file)?;
    let checked = desk.imported(&b, &file, &["--check"])?;
    ensure!(checked.contains("2 roles") && desk.exported(&b)?.is_empty(), "{checked}");
    std::fs::rename(desk.path("exported.ndjson"), desk.path("empty.ndjson"))?;
    desk.imported(&b, &file, &["--batch", "100"])?;
    ensure!(desk.exported(&b)? == of_a);
    for tenant in [&a, &b] {
        let again = desk.imported(tenant, &file, &[])?;
        ensure!(again.contains(", 0 of them were not so yet"), "{again}");
        ensure!(desk.exported(tenant)? == of_a);
    }
    // What the file does not name stays.
    desk.imported(&b, &desk.path("empty.ndjson"), &[])?;
    ensure!(desk.exported(&b)? == of_a);
    Ok(())
}

/// Deletes every node of a tenant.
async fn empty(edge: &Edge, t: &str, lines: &[String]) -> Result<()> {
    for line in values(lines)? {
        let (kind, of) = line.as_object().and_then(|line| line.iter().next()).context("no kind")?;
        let id = of["id"].as_str().unwrap_or_default();
        let path = match (kind.as_str(), of["type"].as_str()) {
            ("role", _) => format!("roles/{id}"),
            (kind, Some(type_)) => format!("{kind}s/{type_}/{id}"),
            _ => continue,
        };
        edge.delete(&format!("/v1/tenants/{t}/{path}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_tenant_comes_back_after_its_graph_was_emptied() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, desk) = (edges.start().await?, Desk::new(&edges)?);
    let tenants = [edges.tenant("a"), edges.tenant("b")];
    for (n, t) in tenants.iter().enumerate() {
        let permissions = json!({"permissions": [{"action": format!("read-{n}")}]});
        edge.put(&format!("/v1/tenants/{t}/roles/reader"), &permissions).await?;
        let on = json!({"type": "document", "id": "d-1"});
        let all = [
            member("user", "ann", "eng"),
            role("team", "eng", "reader", &on),
            below(("document", "d-1"), ("folder", "f")),
        ];
        edge.write(t, "touch", &all).await?;
    }
    let folder = desk.path("all");
    let run = |what: &str, path: &str| -> Result<Output> {
        Ok(edges.command()?.args(["graph", what, "--all", path]).arg(&folder).output()?)
    };
    let output = run("export", "--output")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Other tests have tenants in the same graph.
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let own = tenants.iter().any(|t| path == folder.join(format!("{t}.ndjson")));
        if !own {
            std::fs::remove_file(path)?;
        }
    }
    // The export may have taken longer than the edge keeps a silent connection.
    let edge = edges.start().await?;
    let mut before = vec![];
    for t in &tenants {
        let lines = lines_of(&folder.join(format!("{t}.ndjson")), t)?;
        ensure!(lines.len() == 8 && lines == desk.exported(t)?, "{lines:?}");
        empty(&edge, t, &lines).await?;
        ensure!(desk.exported(t)?.is_empty());
        before.push(lines);
    }
    ensure!(before[0] != before[1]);
    let bad = folder.join("z.ndjson");
    std::fs::write(&bad, "{}")?;
    let output = run("import", "--input")?;
    let refusal = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && refusal.contains("z.ndjson: line 1"), "{refusal}");
    ensure!(desk.exported(&tenants[0])?.is_empty(), "a folder with a bad file was begun");
    std::fs::remove_file(bad)?;
    let output = run("import", "--input")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (t, lines) in tenants.iter().zip(&before) {
        ensure!(desk.exported(t)? == *lines, "{t}");
    }
    Ok(())
}

/// Users in teams that nothing names before, twice each; roles on documents.
fn crowd() -> Vec<Value> {
    let mut lines = vec![json!({"role": {"id": "reader", "permissions": [{"action": "read"}]}})];
    let user = |n: usize| json!({"subject": {"type": "user", "id": format!("u-{n}")}});
    lines.extend((0..500).map(user));
    for n in 0..1500 {
        let (user, team) = (format!("u-{}", n % 500), format!("t-{}", n % 37));
        lines.push(bound(&member("user", &user, &team)));
        let on = json!({"type": "document", "id": format!("d-{}", n % 91)});
        lines.push(bound(&role("user", &user, "reader", &on)));
    }
    lines
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_and_ends_as_one_that_is_not() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let desk = Desk::new(&edges)?;
    let (whole, cut) = (edges.tenant("whole"), edges.tenant("cut"));
    let file = desk.file("crowd.ndjson", &crowd())?;
    desk.imported(&whole, &file, &[])?;
    let checkpoint = desk.path("crowd.ndjson.checkpoint");
    ensure!(!checkpoint.exists(), "the checkpoint of a finished import stays");
    let small = ["--batch", "5", "--in-flight", "1"];
    let mut command = edges.command()?;
    command.args(["graph", "import", "--tenant", &cut, "--input"]).arg(&file).args(small);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let is_begun = until("a checkpoint is there", async || {
        Ok(if checkpoint.exists() { Ok(()) } else { Err("none".to_owned()) })
    });
    let is_begun = is_begun.await;
    child.kill()?;
    let status = child.wait()?;
    is_begun?;
    ensure!(status.code().is_none() && checkpoint.exists(), "it ended before it was killed");
    ensure!(desk.exported(&cut)? != desk.exported(&whole)?);
    let again = desk.imported(&cut, &file, &small)?;
    ensure!(again.contains("went on behind"), "{again}");
    ensure!(desk.exported(&cut)? == desk.exported(&whole)? && !checkpoint.exists());
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_is_gone_on_from_and_removed() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let desk = Desk::new(&edges)?;
    let (whole, cut) = (edges.tenant("whole"), edges.tenant("cut"));
    let file = desk.file("crowd.ndjson", &crowd())?;
    desk.imported(&whole, &file, &[])?;
    // Its last relationship names a role that is not there: everything before its window is written.
    let mut lines = crowd();
    lines.push(bound(&role("user", "u-0", "late", &Value::Null)));
    let file = desk.file("late.ndjson", &lines)?;
    let small = ["--batch", "50", "--in-flight", "1"];
    let refusal = desk.refused(&cut, &file, &small)?;
    let last = format!("line {}: role late does not exist", lines.len() + 1);
    ensure!(refusal.contains(&last), "{refusal}");
    let late = json!({"role": {"id": "late", "permissions": []}});
    desk.imported(&cut, &desk.file("role.ndjson", std::slice::from_ref(&late))?, &[])?;
    let again = desk.imported(&cut, &file, &small)?;
    ensure!(again.contains("went on behind"), "{again}");
    ensure!(!desk.path("late.ndjson.checkpoint").exists());
    let mut wanted = values(&desk.exported(&whole)?)?;
    wanted.extend([late, bound(&role("user", "u-0", "late", &Value::Null))]);
    ensure!(values(&desk.exported(&cut)?)? == sorted(wanted));
    Ok(())
}

#[tokio::test]
async fn edges_that_run_obey_what_is_imported() -> Result<()> {
    let life = [("CACHE__LIFE_MS", "600000"), ("CACHE__DENY_LIFE_MS", "600000")];
    let edges = Edges::new(&life).await?;
    let (edge, desk, t) = (edges.start().await?, Desk::new(&edges)?, edges.tenant("live"));
    let read = question("u-1", "read", ("document", "d-1"));
    ensure!(!edge.check(&t, &read).await?);
    let reader = |actions: &[&str]| {
        let permissions: Vec<_> = actions.iter().map(|a| json!({"action": a})).collect();
        json!({"role": {"id": "reader", "permissions": permissions}})
    };
    let subject =
        |active: bool| json!({"subject": {"type": "user", "id": "u-1", "active": active}});
    let on = json!({"type": "folder", "id": "f"});
    let given = [
        reader(&["read"]),
        bound(&member("user", "u-1", "t")),
        bound(&role("team", "t", "reader", &on)),
        bound(&below(("document", "d-1"), ("folder", "f"))),
    ];
    let said = desk.imported(&t, &desk.file("given.ndjson", &given)?, &[])?;
    // What the import says it is visible from.
    let mut from = read.clone();
    from["at_least"] = said.trim().rsplit(' ').next().context("no token")?.into();
    until("the edge knows the import", async || {
        let answer = edge.try_check(&t, &from).await?;
        let allowed = answer.body["decision"] == true;
        Ok(if allowed { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await?;
    for (name, lines, allowed) in [
        ("none.ndjson", [reader(&[])], false),
        ("read.ndjson", [reader(&["read"])], true),
        ("inactive.ndjson", [subject(false)], false),
        ("active.ndjson", [subject(true)], true),
    ] {
        ensure!(edge.check(&t, &read).await? != allowed, "before {name}");
        desk.imported(&t, &desk.file(name, &lines)?, &[])?;
        until("the edge hears of the import", async || {
            let heard = edge.check(&t, &read).await? == allowed;
            Ok(if heard { Ok(()) } else { Err(name.to_owned()) })
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_file_is_refused_by_line_and_writes_nothing() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (desk, t) = (Desk::new(&edges)?, edges.tenant("bad"));
    let good = json!({"resource": {"type": "document", "id": "d-1"}});
    for (bad, part) in [
        (json!({"resource": {"type": "document", "id": "*"}}), "line 3: id"),
        (json!({"robot": {}}), "line 3: unknown variant"),
        (json!({"role": {"id": "r", "permissions": []}}), "line 3: roles, subjects"),
        (bound(&json!({"relation": "owns"})), "line 3: unknown variant"),
    ] {
        let file = desk.file("bad.ndjson", &[good.clone(), bad.clone()])?;
        for more in [&["--check"][..], &[]] {
            let refusal = desk.refused(&t, &file, more)?;
            ensure!(refusal.contains(part), "{bad}: {refusal}");
        }
    }
    let file = desk.file("cut.ndjson", std::slice::from_ref(&good))?;
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, &text[..text.rfind("{\"end\"").context("no end")?])?;
    let refusal = desk.refused(&t, &file, &[])?;
    ensure!(refusal.contains("line 3: the file was cut before its end"), "{refusal}");
    // Sound by itself, but the role is nowhere: nothing of its batch is written.
    let lines = [bound(&member("user", "u", "t")), bound(&role("user", "u", "none", &Value::Null))];
    let refusal = desk.refused(&t, &desk.file("role.ndjson", &lines)?, &[])?;
    ensure!(refusal.contains("line 3: role none does not exist"), "{refusal}");
    let left = desk.exported(&t)?;
    ensure!(!left.iter().any(|line| line.contains("relationship")), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn where_sync_owns_identities_an_import_leaves_them_to_it() -> Result<()> {
    let edges = Edges::new(&[("SYNC__MODE", "identity")]).await?;
    let (desk, t) = (Desk::new(&edges)?, edges.tenant("synced"));
    let role_line = json!({"role": {"id": "reader", "permissions": [{"action": "read"}]}});
    let everyone = bound(&role("user", "*", "reader", &Value::Null));
    let lines = [
        role_line.clone(),
        json!({"subject": {"type": "user", "id": "u"}}),
        everyone.clone(),
        bound(&member("user", "u", "t")),
    ];
    let file = desk.file("all.ndjson", &lines)?;
    let refusal = desk.refused(&t, &file, &[])?;
    ensure!(refusal.contains("line 3") && refusal.contains("sync"), "{refusal}");
    let said = desk.imported(&t, &file, &["--skip-identities"])?;
    ensure!(said.contains("2 left out"), "{said}");
    // Who is not there has no role: refused, or left out, and the others have theirs.
    let gone = |id: &str| bound(&role("user", id, "reader", &Value::Null));
    let lines = [role_line.clone(), gone("gone"), everyone.clone(), gone("too")];
    let file = desk.file("missing.ndjson", &lines)?;
    let refusal = desk.refused(&t, &file, &[])?;
    ensure!(refusal.contains("user gone does not exist"), "{refusal}");
    // It goes on where the refusal was, behind the role.
    let said = desk.imported(&t, &file, &["--skip-missing"])?;
    ensure!(said.contains("3 lines, 0 of them were not so yet, 2 left out"), "{said}");
    let star = json!({"subject": {"type": "user", "id": "*"}});
    ensure!(values(&desk.exported(&t)?)? == sorted(vec![role_line, star, everyone]));
    Ok(())
}
