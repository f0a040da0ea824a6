//! Resources out of rows, in a transaction or beside any.

use contracts::TenantId;
use serde_json::Value;

use super::accept::Resource;
use super::fault::{Fault, Kind};
use super::filter::Test;
use super::project::Shown;
use super::schema::{Place, Type};
use crate::change::Refused;
use crate::db::{Db, DbError, Row, Tx, Value as Param};
use crate::http::problem;

/// What users and groups have of their own.
pub(super) trait Resources: Send + Sync + 'static {
    const TYPE: &'static Type;
    const TABLE: &'static str;
    const COLUMNS: &'static str;
    /// What is not there when there is none.
    const WHAT: &'static str;
    /// The attribute that is read from other rows.
    const RELATED: &'static str;
    /// Whether what is related makes another version.
    const VERSIONED: bool;
    /// A row, read.
    type View: Send + Sync;
    /// A row of what is related, read.
    type Related: Send + Sync;

    fn view(row: &Row) -> Result<Self::View, DbError>;
    fn related(row: &Row) -> Result<Self::Related, DbError>;
    /// What finds what is related to some of them, up to a number.
    fn relate(tenant: &str, ids: &[&str], most: usize) -> (String, Vec<Param>);
    fn id(view: &Self::View) -> &str;
    /// To which of them it is related: rows come in the order of these ids.
    fn owner(related: &Self::Related) -> &str;
    fn version(view: &Self::View) -> i64;
    /// One, with what is related to it.
    fn resource(
        view: &Self::View,
        related: &[Self::Related],
        base: &str,
    ) -> Result<Resource, DbError>;
    /// The column that sorts as an attribute does.
    fn column(place: &Place) -> Option<&'static str>;
    /// What holds of a row exactly when a test is passed, if that can be said in SQL.
    fn condition(tenant: &TenantId, test: &Test) -> Option<(String, Vec<Param>)>;
    /// What holds at least of a row when a test is passed, if that can be said in SQL.
    fn narrow(_test: &Test) -> Option<(String, Vec<Param>)> {
        None
    }
}

/// How resources are shown to somebody.
#[derive(Debug, Clone)]
pub(super) struct Showing {
    pub(super) shown: Shown,
    /// Where everything here is found.
    pub(super) base: String,
    /// Related rows in one answer.
    pub(super) most: usize,
}

/// Why nothing was read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// More is related than one answer may hold.
    TooMany(&'static str),
    Db(DbError),
}

impl From<DbError> for ReadError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

const TOO_MANY: &str = "are too many for one answer: exclude them, or ask for fewer resources";

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooMany(what) => Self::invalid(what, TOO_MANY),
            ReadError::Db(error) => error.into(),
        }
    }
}

impl From<ReadError> for service_kit::Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooMany(what) => {
                Fault::new(Kind::TooMany, format!("{what} {TOO_MANY}")).into()
            }
            ReadError::Db(error) => problem(error.into()),
        }
    }
}

/// Where rows are read.
pub(super) enum Reader<'a> {
    Db(&'a Db),
    Tx(&'a mut Tx),
}

impl Reader<'_> {
    pub(super) async fn rows(
        &mut self,
        sql: String,
        params: &[Param],
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Db(db) => db.rows(sql, params).await,
            Self::Tx(tx) => tx.rows(sql, params).await,
        }
    }
}

/// Whole resources, with what is related to them if that is wanted.
pub(super) async fn compose<R: Resources>(
    reader: &mut Reader<'_>,
    tenant: &TenantId,
    views: &[R::View],
    related: bool,
    showing: &Showing,
) -> Result<Vec<Resource>, ReadError> {
    let mut found: Vec<R::Related> = Vec::new();
    if related && !views.is_empty() {
        let ids: Vec<_> = views.iter().map(R::id).collect();
        let (sql, params) = R::relate(tenant.as_str(), &ids, showing.most + 1);
        let rows = reader.rows(sql, &params).await?;
        if rows.len() > showing.most {
            return Err(ReadError::TooMany(R::RELATED));
        }
        found = rows.iter().map(R::related).collect::<Result<_, _>>()?;
    }
    let of = |view: &R::View| {
        let from = found.partition_point(|related| R::owner(related) < R::id(view));
        let to = found.partition_point(|related| R::owner(related) <= R::id(view));
        &found[from..to]
    };
    views.iter().map(|view| Ok(R::resource(view, of(view), &showing.base)?)).collect()
}

/// Resources as they are shown.
pub(super) async fn show<R: Resources>(
    reader: &mut Reader<'_>,
    tenant: &TenantId,
    views: &[R::View],
    showing: &Showing,
) -> Result<Vec<Value>, ReadError> {
    let related = showing.shown.wants(R::RELATED);
    let resources = compose::<R>(reader, tenant, views, related, showing).await?;
    Ok(resources.into_iter().map(|resource| showing.shown.of(R::TYPE, resource).into()).collect())
}
