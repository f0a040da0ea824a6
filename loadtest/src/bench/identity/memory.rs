//! Resident memory: at full load, and while somebody floods the log-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::bed::{Admin, Bed, ask, create};
use super::tokens::{allow, clients, from, grant};
use super::{TENANTS, tenant};
use crate::bench::drive::{Pace, drive};
use crate::bench::goals::Figure;
use crate::check::link::Answer;
use crate::system::memory as resident;

/// Between looks.
const LOOK: Duration = Duration::from_millis(100);
/// Log-ins at once.
const FLOOD: usize = 256;
/// Parts of a flood; memory after the first is what the end is compared with.
const FIFTHS: usize = 5;

pub(super) async fn memory(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let pace = bed.pace();
    let admin = bed.admin().await?;
    let clients = clients(&admin).await?;
    let endpoint = admin.endpoint.clone();
    // Creations, grants and reads of what is not there, which cost the same statement.
    let make = move |number: u64| match number % 3 {
        0 => {
            let email = format!("{}@memory.example", uuid::Uuid::new_v4());
            create(&endpoint, &tenant(number % TENANTS), &email)
        }
        1 => grant(&endpoint, &clients[number as usize % clients.len()]),
        _ => {
            let path = format!("/v1/tenants/{}/users/none", tenant(number % TENANTS));
            ask(&endpoint, Method::GET, &path, "")
        }
    };
    let full = Pace { span: pace.span * 2, ..pace };
    let loaded = peak(&admin, drive(&admin.endpoint, full, make, any)).await?;
    let flood = flood(&admin, pace.span).await?;
    admin.stop().await?;
    let first = flood.first().copied().unwrap_or_default();
    let last = flood.last().copied().unwrap_or_default();
    let highest = flood.iter().copied().fold(0.0, f64::max);
    let figures = [
        Figure::median("identity.rss_mib", vec![json!({ "value": loaded })]),
        Figure::median("identity.rss_flood_mib", vec![json!({ "value": highest })]),
        Figure::median(
            "identity.rss_flood_ratio",
            vec![json!({ "value": last / first, "mib": flood })],
        ),
    ];
    Ok(figures.into_iter().flatten().collect())
}

/// The largest resident memory in each fifth.
async fn flood(admin: &Admin, span: Duration) -> anyhow::Result<Vec<f64>> {
    let asked = admin.client.post(admin.url("/oauth2/device_authorization"));
    let asked = asked.header("content-type", "application/x-www-form-urlencoded");
    let made: Value = asked.body("client_id=triad-cli").send().await?.json().await?;
    let code = made["user_code"].as_str().unwrap_or_default().to_owned();
    let mut peaks = Vec::new();
    for _ in 0..FIFTHS {
        let (endpoint, code) = (admin.endpoint.clone(), code.clone());
        let make = move |number: u64| {
            let name = format!("nobody-{number}@flood.example");
            from(allow(&endpoint, &code, &name, "guess"), number)
        };
        let pace = Pace { connections: FLOOD, span, rate: None };
        peaks.push(peak(admin, drive(&admin.endpoint, pace, make, any)).await?);
    }
    Ok(peaks)
}

/// Whatever is answered: load is what counts.
#[allow(clippy::unnecessary_wraps, reason = "as judges are")]
fn any(_: u64, _: &Answer) -> anyhow::Result<()> {
    Ok(())
}

/// The largest resident memory while something is done, MiB.
async fn peak<T>(
    admin: &Admin,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<f64> {
    let (pid, done) = (admin.pid(), Arc::new(AtomicBool::new(false)));
    let watch = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let mut highest = 0_u64;
            while !done.load(Ordering::Relaxed) {
                highest = highest.max(resident(pid).map_or(0, |memory| memory.rss_kib));
                tokio::time::sleep(LOOK).await;
            }
            highest
        }
    });
    let worked = work.await;
    done.store(true, Ordering::Relaxed);
    worked?;
    Ok(watch.await? as f64 / 1024.0)
}
