//! `ingest layout show|set`.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use contracts::TenantId;

use super::say;
use crate::event::Ticks;
use crate::layout::registry::Registry;
use crate::layout::{ClassId, EVERYONE, Granularity, Layout, MAX_SHARDS};
use crate::sink::session::Cassandra;
use crate::{Config, Error};

/// Reading and extending the layout registry.
#[derive(Debug, Subcommand)]
pub(super) enum LayoutCommand {
    /// Every layout, or what governs one tenant.
    Show {
        /// Only this tenant's rows, and those of everyone.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Append a layout, which takes effect once every process knows it. Rows are never changed.
    Set {
        /// The tenant, or `*` for everyone without rows of their own.
        #[arg(long)]
        tenant: String,
        /// How much time a partition spans: day, hour or minute.
        #[arg(long)]
        granularity: String,
        /// Over how many partitions that time is spread, 1 to 16.
        #[arg(long, default_value_t = 1)]
        shards: u8,
        /// How long rows live: 30d, 90d, 1y or 7y.
        #[arg(long, default_value = "1y")]
        class: String,
        /// The first event time that it governs, RFC 3339; as early as is safe by default.
        #[arg(long)]
        effective_from: Option<String>,
    },
}

impl LayoutCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Error> {
        let db = Cassandra::connect(&config.cassandra).await?;
        let registry = Registry::open(&db, &config.layout, &config.limits).await?;
        match self {
            Self::Show { tenant } => show(&registry, tenant.as_deref()),
            Self::Set { tenant, granularity, shards, class, effective_from } => {
                let layout = parse(&granularity, shards, &class, effective_from.as_deref())?;
                if tenant != EVERYONE && !TenantId::is_valid(&tenant) {
                    return Err(wrong(format!("{tenant:?} is no tenant id")));
                }
                let set = registry.append(&tenant, layout, "operator").await?;
                line(&tenant, &set);
            }
        }
        Ok(())
    }
}

fn parse(
    granularity: &str,
    shards: u8,
    class: &str,
    effective_from: Option<&str>,
) -> Result<Layout, Error> {
    let granularity = Granularity::parse(granularity)
        .ok_or_else(|| wrong(format!("{granularity:?} is not day, hour or minute")))?;
    let class = ClassId::parse(class)
        .ok_or_else(|| wrong(format!("{class:?} is no retention class: 30d, 90d, 1y, 7y")))?;
    if !(1..=MAX_SHARDS).contains(&shards) {
        return Err(wrong(format!("{shards} shards are not within 1 to {MAX_SHARDS}")));
    }
    let effective_from = match effective_from {
        None => 0,
        Some(text) => Ticks::parse(text)
            .ok_or_else(|| wrong(format!("{text:?} is no RFC 3339 time")))?
            .millis(),
    };
    Ok(Layout { effective_from, granularity, shards, class })
}

fn wrong(what: String) -> Error {
    Error::Command(what)
}

fn show(registry: &Registry, tenant: Option<&str>) {
    let Some(layouts) = registry.current() else { return };
    for (scope, layout) in layouts.rows() {
        if tenant.is_none_or(|tenant| scope == EVERYONE || scope == tenant) {
            line(scope, &layout);
        }
    }
}

fn line(scope: &str, layout: &Layout) {
    let from: DateTime<Utc> =
        DateTime::from_timestamp_millis(layout.effective_from).unwrap_or_default();
    say(&format!(
        "{scope:<36} from {} {:<6} shards {:>2} class {}",
        from.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        layout.granularity.as_str(),
        layout.shards,
        layout.class.class().name,
    ));
}
