//! Users created and read, beside the bare driver with the same statements.

use std::sync::Arc;
use std::time::Instant;

use hyper::Method;
use serde_json::json;

use super::bed::{Bed, ask, create as creation, renamed};
use super::{TENANTS, bare, tenant};
use crate::bench::drive::{drive, status};
use crate::bench::goals::Figure;
use crate::mysql;

/// Users that are read.
const USERS: u64 = 5000;

/// Both with as many connections, in turns.
pub(super) async fn create(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let place = bed.place().await?;
    let pace = bed.pace();
    let pool = mysql::pool(&place.bare, u32::try_from(pace.connections)?).await?;
    bare::tenants(&pool, TENANTS).await?;
    let runs = bed.in_turns(until, async |bed, _| {
        let admin = bed.admin().await?;
        let endpoint = admin.endpoint.clone();
        let make = move |number: u64| {
            let email = format!("{}@bench.example", uuid::Uuid::new_v4());
            creation(&endpoint, &tenant(number % TENANTS), &email)
        };
        let made = drive(&admin.endpoint, pace, make, status(201)).await?;
        // Its relay has all that it wrote on Kafka then, and nothing runs beside the bare driver.
        admin.stop().await?;
        let bare = bare::create(&pool, TENANTS, pace.connections, pace.span).await?;
        bare::forget(&pool).await?;
        Ok(json!({ "value": made.per_second / bare, "created": made.per_second, "bare": bare,
            "p99_ms": made.latency.p99_ms }))
    });
    let runs = runs.await?;
    let (rate, rates) = renamed(&runs, "created");
    let rate = Figure::of("identity.creates_per_second", rate, rates);
    Ok(Figure::median("identity.create_ratio", runs).into_iter().chain(rate).collect())
}

/// By id and by address, in turns.
pub(super) async fn read(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let place = bed.place().await?;
    let pace = bed.pace();
    let pool = mysql::pool(&place.own, u32::try_from(pace.connections)?).await?;
    let admin = bed.admin().await?;
    let users = admin.users(USERS).await?;
    let runs = bed.in_turns(until, async |_, _| {
        let (endpoint, known) = (admin.endpoint.clone(), Arc::clone(&users));
        let make = move |number: u64| {
            let user = &known[number as usize % known.len()];
            let path = match number % 2 {
                0 => format!("/v1/tenants/{}/users/{}", user.tenant, user.id),
                _ => format!("/v1/tenants/{}/users/by-email/{}", user.tenant, user.email),
            };
            ask(&endpoint, Method::GET, &path, "")
        };
        let read = drive(&admin.endpoint, pace, make, status(200)).await?;
        let bare = bare::read(&pool, &users, pace.connections, pace.span).await?;
        Ok(json!({ "value": read.per_second / bare, "read": read.per_second, "bare": bare,
            "p99_ms": read.latency.p99_ms }))
    });
    let figures = Figure::median("identity.read_ratio", runs.await?).into_iter().collect();
    admin.stop().await?;
    Ok(figures)
}
