//! Lists (RFC 7644 section 3.4.2). What of a filter the database can decide it decides; the rest is looked for in
//! what it finds, up to a number of rows.

use std::collections::HashMap;

use contracts::TenantId;
use serde_json::{Value, json};
use service_kit::Problem;

use super::accept::{Resource, is_primary};
use super::fault::{Fault, Kind as FaultKind};
use super::filter::{Filter, Operand, Operator, Test, values};
use super::read::{self, ReadError, Reader, Resources, Showing};
use super::schema::Place;
use crate::db::{Db, Value as Param, params, places};
use crate::http::problem;
use crate::rules;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Rows of one statement of a scan.
const CHUNK: i64 = 500;

/// A search that can be done.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) filter: Option<Filter>,
    pub(super) sort: Option<Place>,
    pub(super) descending: bool,
    /// From 1.
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) scan: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that are not shown, too.
    pub(super) total: usize,
    pub(super) resources: Vec<Value>,
}

impl Found {
    /// As a `ListResponse`.
    pub(super) fn told(self, start: usize) -> Value {
        json!({
            "schemas": [LIST], "totalResults": self.total, "startIndex": start,
            "itemsPerPage": self.resources.len(), "Resources": self.resources,
        })
    }
}

/// What holds of rows, and what is left to be looked for in them.
struct Plan {
    holds: String,
    params: Vec<Param>,
    rest: Vec<Filter>,
}

impl Search {
    /// Does it.
    ///
    /// # Errors
    /// `tooMany` when it would look at too many rows; what the database brings.
    pub(super) async fn run<R: Resources>(
        &self,
        db: &Db,
        tenant: &TenantId,
        showing: &Showing,
    ) -> Result<Found, Problem> {
        let plan = self.plan::<R>(tenant);
        let column = self.sort.map_or(Some("id"), |place| R::column(&place));
        let (total, views) = match column {
            Some(column) if plan.rest.is_empty() => self.selected::<R>(db, &plan, column).await?,
            _ => self.scanned::<R>(db, tenant, &plan, showing).await?,
        };
        let resources = read::show::<R>(&mut Reader::Db(db), tenant, &views, showing).await?;
        Ok(Found { total, resources })
    }

    /// The search that goes on where what was found ends.
    pub(super) fn behind(mut self, found: &Found) -> Self {
        self.start = self.start.saturating_sub(found.total).max(1);
        self.count = self.count.saturating_sub(found.resources.len());
        self
    }

    /// Of the tests that must all be passed, those that the database knows.
    fn plan<R: Resources>(&self, tenant: &TenantId) -> Plan {
        let (mut holds, mut params) = ("tenant_id = ?".to_owned(), vec![tenant.into()]);
        let all = match self.filter.clone() {
            Some(Filter::All(all)) => all,
            one => one.into_iter().collect(),
        };
        let mut rest = Vec::new();
        for filter in all {
            let known = match &filter {
                Filter::Test(test) => R::condition(tenant, test),
                Filter::Within(_, within) => {
                    equality(within).and_then(|test| R::condition(tenant, test))
                }
                _ => None,
            };
            let narrowed = if known.is_some() { None } else { narrowed::<R>(&filter) };
            if known.is_none() {
                rest.push(filter);
            }
            if let Some((sql, more)) = known.or(narrowed) {
                holds.push_str(" AND ");
                holds.push_str(&sql);
                params.extend(more);
            }
        }
        Plan { holds, params, rest }
    }

    /// By the database alone.
    async fn selected<R: Resources>(
        &self,
        db: &Db,
        plan: &Plan,
        column: &str,
    ) -> Result<(usize, Vec<R::View>), Problem> {
        let wrong = |error: crate::db::DbError| problem(error.into());
        let sql = format!("SELECT COUNT(*) AS n FROM {} WHERE {}", R::TABLE, plan.holds);
        let counted = db.row(sql, &plan.params).await.map_err(wrong)?;
        let total = counted.map_or(Ok(0), |row| row.int("n")).map_err(wrong)?;
        if self.count == 0 {
            return Ok((usize::try_from(total).unwrap_or(0), Vec::new()));
        }
        let direction = if self.descending { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {column} {direction}, id {direction} LIMIT ? OFFSET ?",
            R::COLUMNS,
            R::TABLE,
            plan.holds
        );
        let whole = |number: usize| Param::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut params = plan.params.clone();
        params.extend([whole(self.count), whole(self.start - 1)]);
        let rows = db.rows(sql, &params).await.map_err(wrong)?;
        let views = rows.iter().map(R::view).collect::<Result<_, _>>().map_err(wrong)?;
        Ok((usize::try_from(total).unwrap_or(0), views))
    }

    /// By looking at each row that may be meant.
    async fn scanned<R: Resources>(
        &self,
        db: &Db,
        tenant: &TenantId,
        plan: &Plan,
        showing: &Showing,
    ) -> Result<(usize, Vec<R::View>), Problem> {
        let mut found = self.found::<R>(db, tenant, plan, showing).await?;
        // By key; what has none comes last, and first when the order is turned round.
        found.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        if self.descending {
            found.reverse();
        }
        let total = found.len();
        let page: Vec<_> = found.into_iter().skip(self.start - 1).take(self.count).collect();
        if page.is_empty() {
            return Ok((total, Vec::new()));
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE tenant_id = ? AND id IN ({})",
            R::COLUMNS,
            R::TABLE,
            places(page.len())
        );
        let mut params: Vec<Param> = vec![tenant.into()];
        params.extend(page.iter().map(|(_, id)| Param::from(id)));
        let rows = db.rows(sql, &params).await.map_err(ReadError::from)?;
        let views = rows.iter().map(R::view).collect::<Result<Vec<_>, _>>();
        let mut views = views.map_err(ReadError::from)?;
        let places: HashMap<_, _> = page.iter().map(|(_, id)| id.as_str()).zip(0..).collect();
        views.sort_by_key(|view| places.get(R::id(view)).copied().unwrap_or(usize::MAX));
        Ok((total, views))
    }

    /// Keys and ids of what passes.
    async fn found<R: Resources>(
        &self,
        db: &Db,
        tenant: &TenantId,
        plan: &Plan,
        showing: &Showing,
    ) -> Result<Vec<(Option<String>, String)>, Problem> {
        let related = plan.rest.iter().any(|filter| filter.reads(R::RELATED))
            || self.sort.is_some_and(|place| place.attribute.name == R::RELATED);
        let sql = format!(
            "SELECT {} FROM {} WHERE {} AND id > ? ORDER BY id LIMIT ?",
            R::COLUMNS,
            R::TABLE,
            plan.holds
        );
        let (mut found, mut looked, mut after) = (Vec::new(), 0, String::new());
        loop {
            let mut params = plan.params.clone();
            params.extend_from_slice(params![&after, CHUNK]);
            let rows = db.rows(sql.clone(), &params).await.map_err(ReadError::from)?;
            let views = rows.iter().map(R::view).collect::<Result<Vec<_>, _>>();
            let views = views.map_err(ReadError::from)?;
            looked += views.len();
            if looked > self.scan {
                let why = format!(
                    "the search would look at more than {} resources: narrow it by and",
                    self.scan
                );
                return Err(Fault::new(FaultKind::TooMany, why).into());
            }
            let mut reader = Reader::Db(db);
            let all = read::compose::<R>(&mut reader, tenant, &views, related, showing).await?;
            for (view, resource) in views.iter().zip(&all) {
                if plan.rest.iter().all(|filter| filter.holds(resource)) {
                    found.push((self.key(resource), R::id(view).to_owned()));
                }
            }
            match views.last().filter(|_| i64::try_from(views.len()) == Ok(CHUNK)) {
                Some(last) => after = R::id(last).to_owned(),
                None => return Ok(found),
            }
        }
    }

    /// What a resource is sorted by: of many values the primary one, or the first.
    fn key(&self, resource: &Resource) -> Option<String> {
        let place = self.sort?;
        let home = place.home(resource)?;
        let primary = home.get(place.attribute.name).and_then(Value::as_array);
        let primary = primary.and_then(|values| values.iter().find(|value| is_primary(value)));
        let primary = primary.and_then(|value| value.get(place.part?.name));
        let value = primary.or_else(|| values(Some(home), &place).next())?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(if place.leaf().exact { text } else { rules::folded(&text) })
    }
}

/// What the database knows that must hold at least.
fn narrowed<R: Resources>(filter: &Filter) -> Option<(String, Vec<Param>)> {
    match filter {
        Filter::Test(test) => R::narrow(test),
        Filter::Within(_, within) => narrowed::<R>(within),
        Filter::All(all) => all.iter().find_map(narrowed::<R>),
        _ => None,
    }
}

/// The test of a filter of one value that is met by the whole attribute just as well.
fn equality(within: &Filter) -> Option<&Test> {
    match within {
        Filter::Test(test @ Test { operator: Operator::Equal, operand: Operand::Text(_), .. }) => {
            Some(test)
        }
        _ => None,
    }
}
