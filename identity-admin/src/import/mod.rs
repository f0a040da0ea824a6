//! `identity-admin import`: many users and memberships of a tenant from a file.
//!
//! Rows are taken in batches, each one mutation like every other: locked, numbered, told, audited. What becomes
//! of each row is a line of the file of results, which is also where an import goes on that was interrupted: it
//! repeats the batch that it may have been in the middle of, whose Idempotency-Key knows whether it committed.
//!
//! | module | what it holds |
//! |---|---|
//! | `rows` | a file's rows: NDJSON or CSV |
//! | `hash` | which password hashes are taken |
//! | `batch` | what one transaction does |
//! | `results` | what became of each row, and where to go on |

mod batch;
mod hash;
mod results;
mod rows;

use std::path::Path;

use contracts::TenantId;
use indicatif::ProgressBar;

use crate::Error;
use crate::change::{Author, Core, Key, Opening, Refused, Request};
use batch::Batch;
use results::Results;
pub use rows::Format;
use rows::Rows;

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows that an earlier call had done.
    pub resumed_behind: u64,
    /// Rows that this call did.
    pub rows: u64,
    /// Of them, those that made something.
    pub created: u64,
    /// Of them, those that broke a rule.
    pub refused: u64,
}

/// How an import works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How the file is written.
    pub format: Format,
    /// Rows of one transaction, 1 to 5000.
    pub batch: usize,
}

/// Imports a file into a tenant; what becomes of each row goes to `results`, one line a row, in order.
///
/// # Errors
/// A file that cannot be read or changed since it was begun, and what the database brings. What was done stays,
/// and the same call goes on behind it.
pub async fn import(
    core: &Core,
    tenant: &TenantId,
    (input, results): (&Path, &Path),
    options: Options,
    bar: &ProgressBar,
) -> Result<Imported, Error> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Error::Command(format!("{}: {error}", path.display()))
    };
    let file = rows::survey(input, options.format).map_err(|error| failed(input, &error))?;
    let mut results =
        Results::open(results, options.batch).map_err(|error| failed(results, &error))?;
    let mut imported = Imported { resumed_behind: results.done(), ..Imported::default() };
    bar.set_length(file.rows);
    bar.set_position(results.done());
    let mut rows =
        Rows::open(input, options.format, results.done()).map_err(|error| failed(input, &error))?;
    loop {
        let first = results.done() + 1;
        let batch = rows.batch(options.batch).map_err(|error| failed(input, &error))?;
        if batch.is_empty() {
            bar.finish_and_clear();
            return Ok(imported);
        }
        let author = Author::operator();
        // The same rows of the same file are the same request.
        let name = format!("import {} {first}", file.hash);
        let request = ("IMPORT", file.hash.as_str(), batch.len().to_string());
        let request = (request.0, request.1, request.2.as_bytes());
        let key = Key::new(&name, tenant, &author.subject, request);
        let (tenant, opening) = (tenant.clone(), Opening::Existing);
        let request = Request { tenant, opening, author, key };
        let done = core.run(&request, &Batch { first, rows: batch }).await;
        let done = done.map_err(|refused| match refused {
            Refused::Db(error) => Error::Db(error),
            other => Error::Command(other.to_string()),
        })?;
        let told = results.write(&done.answer).map_err(|error| failed(input, &error))?;
        imported.rows += told.rows;
        imported.created += told.created;
        imported.refused += told.refused;
        bar.set_position(results.done());
    }
}
