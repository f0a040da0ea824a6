//! Lists (RFC 7644 section 3.4.2). What of a filter the database can decide it decides; the rest is looked for in
//! what it finds, up to a number of rows.

use std::collections::HashMap;

use contracts::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::Problem;

use super::accept::{Resource, is_primary};
use super::fault::{Fault, Kind as FaultKind};
use super::filter::{Filter, Operand, Operator, Test, values};
use super::parse;
use super::project::Shown;
use super::read::{self, ReadError, Reader, Resources, Showing};
use super::schema::{Place, Type};
use crate::db::{Db, Value as Param, params};
use crate::http::problem;
use crate::rules;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// What a query may say.
const NAMES: [&str; 7] =
    ["filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes"];
/// Rows of one statement of a scan.
const CHUNK: usize = 500;

/// Bounds of lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Resources in an answer when nobody says.
    pub(super) usual: usize,
    /// And at most.
    pub(super) most: usize,
    /// Rows that one search looks at.
    pub(super) scan: usize,
}

/// What a client asks for, by query or by body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    filter: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    #[serde(default)]
    attributes: Vec<String>,
    #[serde(default)]
    excluded_attributes: Vec<String>,
}

impl Asked {
    /// Of the parameters of a query.
    ///
    /// # Errors
    /// A parameter that is given twice, or no number where one is due.
    pub(super) fn query(query: &[(String, String)]) -> Result<Self, Fault> {
        let refuse = |name: &str, why: &str| {
            let name: String = name.chars().take(64).collect();
            Fault::new(FaultKind::InvalidValue, format!("{name} {why}"))
        };
        let mut asked = Self::default();
        for (at, (name, text)) in query.iter().enumerate() {
            if NAMES.contains(&name.as_str())
                && query[..at].iter().any(|(before, _)| before == name)
            {
                return Err(refuse(name, "is given twice"));
            }
            let number = || text.parse().map(Some).map_err(|_| refuse(name, "is a number"));
            match name.as_str() {
                "filter" => asked.filter = Some(text.clone()),
                "sortBy" => asked.sort_by = Some(text.clone()),
                "sortOrder" => asked.sort_order = Some(text.clone()),
                "startIndex" => asked.start_index = number()?,
                "count" => asked.count = number()?,
                "attributes" => asked.attributes = names(text),
                "excludedAttributes" => asked.excluded_attributes = names(text),
                // Providers add their own.
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The place of the first resource that is shown; what is less than one is one (section 3.4.2.4).
    pub(super) fn start(&self) -> usize {
        self.start_index.map_or(1, |start| usize::try_from(start).unwrap_or(1).max(1))
    }

    /// What of it is about a type, when it is about several: names that the type has not are of another.
    ///
    /// # Errors
    /// A filter that says nothing of the type, and an order, which there is only within one type.
    pub(super) fn about(&self, of: &'static Type) -> Result<Self, Fault> {
        if self.sort_by.is_some() {
            return Err(Fault::new(
                FaultKind::InvalidPath,
                "sortBy is of one type: Users or Groups",
            ));
        }
        if let Some(text) = &self.filter {
            parse::filter(of, text).map_err(|why| Fault::new(FaultKind::InvalidFilter, why))?;
        }
        let known = |names: &[String]| {
            let is_known =
                |name: &&String| of.place(name).is_some() || of.extension(name).is_some();
            names.iter().filter(is_known).cloned().collect::<Vec<_>>()
        };
        let mut attributes = known(&self.attributes);
        if attributes.is_empty() && !self.attributes.is_empty() {
            attributes.push("id".to_owned());
        }
        let excluded_attributes = known(&self.excluded_attributes);
        Ok(Self { attributes, excluded_attributes, ..self.clone() })
    }

    /// What is shown of each.
    ///
    /// # Errors
    /// As [`Shown::read`].
    pub(super) fn shown(&self, of: &'static Type) -> Result<Shown, Fault> {
        Shown::read(of, &self.attributes, &self.excluded_attributes)
    }

    /// The search.
    ///
    /// # Errors
    /// A filter or an order that is none.
    pub(super) fn search(&self, of: &'static Type, bounds: Bounds) -> Result<Search, Fault> {
        let invalid = |why: String| Fault::new(FaultKind::InvalidFilter, why);
        let filter = self.filter.as_deref().map(|text| parse::filter(of, text)).transpose();
        let sort = self.sort_by.as_deref().map(|path| {
            let place = of.place(path).filter(|place| !place.attribute.name.eq("password"));
            place
                .map(valued)
                .ok_or_else(|| Fault::new(FaultKind::InvalidPath, "sortBy is no attribute"))
        });
        let descending = match self.sort_order.as_deref() {
            None => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => {
                let why = "sortOrder is ascending or descending";
                return Err(Fault::new(FaultKind::InvalidValue, why));
            }
        };
        let count = self.count.map_or(bounds.usual, |count| usize::try_from(count).unwrap_or(0));
        Ok(Search {
            filter: filter.map_err(invalid)?,
            sort: sort.transpose()?,
            descending,
            start: self.start(),
            count: count.min(bounds.most),
            scan: bounds.scan,
        })
    }
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Of what has parts, `value` is meant.
fn valued(place: Place) -> Place {
    let part = place.part.or_else(|| place.attribute.part("value"));
    Place { part, ..place }
}

/// A search that can be done.
#[derive(Debug)]
pub(super) struct Search {
    filter: Option<Filter>,
    sort: Option<Place>,
    descending: bool,
    /// From 1.
    start: usize,
    count: usize,
    scan: usize,
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
            vec!["?"; page.len()].join(", ")
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
            params.extend_from_slice(params![&after, CHUNK as i64]);
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
            match views.last().filter(|_| views.len() == CHUNK) {
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
