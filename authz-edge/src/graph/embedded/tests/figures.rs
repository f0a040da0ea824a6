use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use contracts::TenantId;
use service_kit::embedded::{Disk, Folder};

use super::super::Embedded;
use super::{TIMEOUT, write};
use crate::graph::read::{Reader, Strangers};
use crate::graph::write::{Author, Entity, EntityForm, Ownership, Writer};
use crate::graph::{Graph as _, GraphDb, Mode, schema};
use crate::model::role::Permission;
use crate::model::*;

fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

async fn world(graph: &GraphDb, tenant: &TenantId, users: usize) {
    schema::apply(graph).await.unwrap();
    let author = Author::system(Utc::now());
    let writer = Writer { graph, ownership: Ownership::Anyone };
    for n in 0..200 {
        let p = |a: &str| Permission {
            action: a.into(),
            on: Scope::Type("doc".into()),
            condition: None,
        };
        let role = Role { name: None, permissions: vec![p("read"), p("write"), p("print")] };
        writer.put_role(tenant, &format!("role{n}"), &role, &author).await.unwrap();
    }
    let team = |n: usize| SubjectRef::new(SubjectType::Team, format!("team{n}"));
    let mut all = Vec::new();
    for n in 1..500 {
        all.push(Relationship::MemberOf { subject: team(n), team: format!("team{}", n / 8) });
    }
    for n in 0..500 {
        all.push(Relationship::HasRole {
            subject: team(n),
            role: format!("role{}", n % 200),
            on: Scope::All,
            expires_at: None,
        });
        all.push(Relationship::HasRole {
            subject: team(n),
            role: format!("role{}", (n + 7) % 200),
            on: Scope::Resource(ResourceRef::new("doc", format!("d{}", n * 3))),
            expires_at: None,
        });
    }
    for n in 0..users {
        let user = SubjectRef::new(SubjectType::User, format!("user{n}"));
        all.push(Relationship::MemberOf {
            subject: user.clone(),
            team: format!("team{}", n % 500),
        });
        all.push(Relationship::HasRole {
            subject: user,
            role: format!("role{}", n % 200),
            on: Scope::Resource(ResourceRef::new("doc", format!("d{}", n % 5000))),
            expires_at: None,
        });
    }
    for n in 0..5000 {
        all.push(Relationship::Parent {
            resource: ResourceRef::new("doc", format!("d{n}")),
            parent: ResourceRef::new("doc", format!("d{}", n / 10 + 100_000)),
        });
    }
    let begun = Instant::now();
    for part in all.chunks(1000) {
        writer.touch_all(tenant, part, &author).await.unwrap();
    }
    println!("wrote {} relationships in {:?}", all.len(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures"]
async fn figures() {
    let tenant = TenantId::parse("acme").unwrap();
    let graph: GraphDb = Embedded::in_memory(TIMEOUT).into();
    let before = rss();
    world(&graph, &tenant, 10_000).await;
    println!("rss {} MB", (rss() - before) >> 20);
    let graph = Arc::new(graph);
    let reader = Reader::new(Arc::clone(&graph), Strangers::Barred);
    for _ in 0..3 {
        let begun = Instant::now();
        for n in 0..2000 {
            let user = SubjectRef::new(SubjectType::User, format!("user{}", n * 5));
            let v = reader.subject(&tenant, &user, Mode::Strict).await.unwrap();
            assert!(v.view.is_some());
        }
        println!("subject view {:?}", begun.elapsed() / 2000);
        let begun = Instant::now();
        for n in 0..2000 {
            let on = ResourceRef::new("doc", format!("d{n}"));
            reader.resource(&tenant, &on, Mode::Strict).await.unwrap();
        }
        println!("resource view {:?}", begun.elapsed() / 2000);
    }
    commits("memory", graph).await;
    let folder = tempfile::tempdir_in("/work").unwrap();
    let held = Folder::take(folder.path()).unwrap();
    let disk = Disk::open(&held).unwrap();
    let on_disk = Embedded::open(&disk, TIMEOUT).await.unwrap();
    let graph: Arc<GraphDb> = Arc::new(on_disk.clone().into());
    schema::apply(&graph).await.unwrap();
    commits("disk", Arc::clone(&graph)).await;
    drop((graph, on_disk, disk, held));
    let folder = tempfile::tempdir_in("/work").unwrap();
    let held = Folder::take(folder.path()).unwrap();
    let disk = Disk::open(&held).unwrap();
    let on_disk = Embedded::open(&disk, TIMEOUT).await.unwrap();
    world(&on_disk.clone().into(), &tenant, 70_000).await;
    let (mut triples, state) = (0, on_disk.core.moment().state);
    for (_, node) in state.nodes() {
        triples += node.forwards().map(|(_, cell)| cell.targets(0).count().max(1)).sum::<usize>();
    }
    println!("{triples} triples");
    drop((on_disk, state));
    let before = rss();
    let begun = Instant::now();
    let on_disk = Embedded::open(&disk, TIMEOUT).await.unwrap();
    println!("opened in {:?}, rss +{} MB", begun.elapsed(), (rss() - before) >> 20);
    write(&on_disk, "_:n <xid> \"z\" .", "").await.unwrap();
}

async fn commits(name: &str, graph: Arc<GraphDb>) {
    for writers in [1, 64] {
        let begun = Instant::now();
        let each = if name == "disk" { 20 } else { 20_000 / writers };
        let all: Vec<_> = (0..writers)
            .map(|w| {
                let graph = Arc::clone(&graph);
                tokio::spawn(async move {
                    let tenant = TenantId::parse("acme").unwrap();
                    let writer = Writer { graph: &graph, ownership: Ownership::Anyone };
                    let author = Author::system(Utc::now());
                    for n in 0..each {
                        let entity = Entity::Resource(ResourceRef::new(
                            "doc",
                            format!("x{w}-{n}-{writers}"),
                        ));
                        writer
                            .put_entity(&tenant, &entity, &EntityForm::default(), &author)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        let n = (writers * each) as f64;
        println!("{name}: {writers} writers: {:.0} commits/s", n / begun.elapsed().as_secs_f64());
    }
}
