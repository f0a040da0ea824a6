//! Many users from a file, by the command that people use.

use std::io::{BufWriter, Write as _};
use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use super::bed::Bed;
use super::tenant;
use crate::bench::goals::Figure;

/// Users without passwords.
const USERS: u64 = 100_000;

/// Once: the service runs beside it and publishes what is imported, as it does in production.
pub(super) async fn import(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let place = bed.place().await?;
    let file = place.state.join("users.csv");
    let mut out = BufWriter::new(std::fs::File::create(&file)?);
    writeln!(out, "email,display_name")?;
    for number in 0..USERS {
        writeln!(out, "user-{number}@import.example,User {number}")?;
    }
    out.flush()?;
    let admin = bed.admin().await?;
    let (path, tenant) = (file.display().to_string(), tenant(0));
    let begun = Instant::now();
    let said = bed.command(&["import", "--tenant", &tenant, "--input", &path]).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(said.contains(&USERS.to_string()), "the import said {said:?}");
    admin.stop().await?;
    let run = json!({ "value": seconds, "users_per_second": USERS as f64 / seconds });
    Ok(Figure::median("identity.import_100k_seconds", vec![run]).into_iter().collect())
}
