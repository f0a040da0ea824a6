//! Query parameters, and the query that they ask for.

use contracts::audit::Status;
use contracts::{TenantId, check_external_id};
use serde::Deserialize;
use service_kit::Problem;
use utoipa::{IntoParams, ToSchema};

use super::Options;
use super::format::Format;
use crate::event::Ticks;
use crate::query::cursor::CursorKey;
use crate::query::{Filter, Order, RangeQuery, Resume, TimeRange};

/// The range when `from` is absent, milliseconds.
const DEFAULT_RANGE: i64 = 86_400_000;

/// Newest first, or oldest first.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderParam {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

impl From<OrderParam> for Order {
    fn from(order: OrderParam) -> Self {
        match order {
            OrderParam::Newest => Self::Newest,
            OrderParam::Oldest => Self::Oldest,
        }
    }
}

/// What a page is asked for with.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// First `event_time`, RFC 3339, inclusive. Absent: 24 hours before `to`.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<String>,
    /// Last `event_time`, exclusive. Absent: the time of page one, for all pages.
    to: Option<String>,
    /// Only events of this actor.
    actor_id: Option<String>,
    /// Only this action.
    action: Option<String>,
    /// Only events on this resource.
    resource_id: Option<String>,
    /// Only events on this kind of resource.
    resource_type: Option<String>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    status: Option<String>,
    /// Events in a page, at most; 100 unless configured otherwise.
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// In which order.
    #[param(inline)]
    order: Option<OrderParam>,
    /// `next_cursor` of the page before; the other parameters must be the same, `limit` apart.
    cursor: Option<String>,
}

/// What an export is asked for with.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportParams {
    /// First `event_time`, RFC 3339, inclusive. Absent: 24 hours before `to`.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<String>,
    /// Last `event_time`, exclusive. Absent: now.
    to: Option<String>,
    /// Only events of this actor.
    actor_id: Option<String>,
    /// Only this action.
    action: Option<String>,
    /// Only events on this resource.
    resource_id: Option<String>,
    /// Only events on this kind of resource.
    resource_type: Option<String>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    status: Option<String>,
    /// In which order.
    #[param(inline)]
    order: Option<OrderParam>,
    /// The form of the file; `ndjson` when absent.
    #[param(inline)]
    format: Option<Format>,
}

/// A page, as it is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: RangeQuery,
    pub(super) resume: Option<Resume>,
    pub(super) limit: usize,
}

impl ListParams {
    /// The query, as it stands on this page.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(super) fn ask(
        self,
        tenant: TenantId,
        now: Ticks,
        cursors: &CursorKey,
        options: &Options,
    ) -> Result<Asked, Problem> {
        let limit = self.limit.unwrap_or(options.default_limit);
        if !(1..=options.max_limit).contains(&limit) {
            let detail = format!("limit is not within 1 to {}", options.max_limit);
            return Err(Problem::bad_request(detail));
        }
        let (from, to) = (time("from", self.from.as_deref())?, time("to", self.to.as_deref())?);
        let filter = Filter {
            actor_id: self.actor_id,
            action: self.action,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            status: self.status,
        };
        check(&filter)?;
        let order = self.order.unwrap_or_default().into();
        let Some(cursor) = self.cursor else {
            let query = RangeQuery { tenant, range: range(from, to, now)?, filter, order };
            return Ok(Asked { query, resume: None, limit });
        };
        let anything = TimeRange { from: Ticks::EPOCH, to: Ticks::EPOCH };
        let mut query = RangeQuery { tenant, range: anything, filter, order };
        let opened = cursors.open(&query, &cursor);
        let opened = opened.map_err(|error| Problem::bad_request(format!("cursor: {error}")))?;
        for (name, given, fixed) in [("from", from, opened.range.from), ("to", to, opened.range.to)]
        {
            if given.is_some_and(|given| given != fixed) {
                return Err(Problem::bad_request(format!("{name} is not that of the cursor")));
            }
        }
        query.range = opened.range;
        Ok(Asked { query, resume: Some(opened.resume), limit })
    }
}

impl ExportParams {
    /// The query, and the form of the file.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(super) fn ask(self, tenant: TenantId, now: Ticks) -> Result<(RangeQuery, Format), Problem> {
        let (from, to) = (time("from", self.from.as_deref())?, time("to", self.to.as_deref())?);
        let filter = Filter {
            actor_id: self.actor_id,
            action: self.action,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            status: self.status,
        };
        check(&filter)?;
        let order = self.order.unwrap_or_default().into();
        let query = RangeQuery { tenant, range: range(from, to, now)?, filter, order };
        Ok((query, self.format.unwrap_or_default()))
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Ticks>, Problem> {
    let parse = |text: &str| {
        Ticks::parse(text).ok_or_else(|| {
            let detail =
                format!("{name} is no RFC 3339 time between 1970 and 4999; + is sent as %2B");
            Problem::bad_request(detail)
        })
    };
    text.map(parse).transpose()
}

fn range(from: Option<Ticks>, to: Option<Ticks>, now: Ticks) -> Result<TimeRange, Problem> {
    let to = to.unwrap_or(now);
    let day = || Ticks::from_millis((to.millis() - DEFAULT_RANGE).max(0));
    let from = from.unwrap_or_else(day);
    if from > to {
        return Err(Problem::bad_request("from is later than to"));
    }
    Ok(TimeRange { from, to })
}

/// Values that no event can have are mistakes of the caller, not empty answers.
fn check(filter: &Filter) -> Result<(), Problem> {
    let names = ["actor_id", "action", "resource_type", "resource_id", "status"];
    for (name, value) in names.iter().zip(filter.fields()) {
        if let Some(Err(error)) = value.map(check_external_id) {
            return Err(Problem::bad_request(format!("{name}: {error}")));
        }
    }
    if filter.status.as_deref().is_some_and(|status| Status::parse(status).is_none()) {
        return Err(Problem::bad_request("status is not SUCCESS, FAILURE or DENIED"));
    }
    Ok(())
}
