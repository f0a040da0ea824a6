//! Lists: filters, order, pages.
//!
//! A page goes on behind the last entry of the one before, by the value that the list is sorted by and then by
//! id. What stays is listed once, whatever others write meanwhile.

use chrono::DateTime;
use serde::Serialize;
use service_kit::Problem;
use utoipa::ToSchema;

use super::answer::problem;
use super::api::Options;
use super::cursor::{Binding, Position};
use crate::db::{Db, DbError, Row, Value};

/// A list that can be asked for.
pub(crate) struct Listing {
    /// Its name, which cursors are bound to.
    pub(crate) name: &'static str,
    /// What is selected, `id` and the columns of `sorts` among it.
    pub(crate) columns: &'static str,
    /// From where.
    pub(crate) table: &'static str,
    /// What always holds, with a `?` for each value of the path.
    pub(crate) bound: &'static str,
    /// What `id` is.
    pub(crate) key: Kind,
    /// What it can be sorted by; the first is the default.
    pub(crate) sorts: &'static [Sort],
    /// What it can be filtered by.
    pub(crate) filters: &'static [Filter],
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Int,
    /// Text.
    Text,
    /// A time.
    Time,
}

/// A way to sort: never null, and indexed.
pub(crate) struct Sort {
    /// As it is asked for; `-` before it turns it round.
    pub(crate) name: &'static str,
    /// Where it stands.
    pub(crate) column: &'static str,
    pub(crate) kind: Kind,
}

/// A way to filter.
pub(crate) struct Filter {
    /// As it is asked for.
    pub(crate) name: &'static str,
    /// What must hold, with one `?`.
    pub(crate) holds: &'static str,
    /// The value of a parameter, or what is wrong with it.
    pub(crate) value: fn(&str) -> Result<Value, &'static str>,
}

/// A truth as a query says it.
pub(crate) fn truth(text: &str) -> Result<Value, &'static str> {
    text.parse::<bool>().map(Value::from).map_err(|_| "true or false")
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// Its entries, in order.
    pub(crate) items: Vec<T>,
    /// With it and the same parameters the list goes on. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A page that was asked for.
struct Asked {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
    sort: &'static Sort,
    descending: bool,
    after: Option<Position>,
    limit: usize,
    binding: Binding,
}

impl Listing {
    /// The page that the parameters of a query ask for. `path` are the values of `bound`.
    ///
    /// # Errors
    /// 400 for parameters that are unknown, malformed or repeated, and for a cursor of another list; what the
    /// database brings.
    pub(crate) async fn page<T>(
        &'static self,
        db: &Db,
        options: &Options,
        (path, query): (&[&str], &[(String, String)]),
        view: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Page<T>, Problem> {
        let asked = self.ask(options, path, query)?;
        let (sql, params) = self.statement(&asked, path)?;
        let read = async {
            let rows = db.rows(sql, &params).await?;
            self.cut(&rows, &asked, view)
        };
        read.await.map_err(|error| problem(error.into()))
    }

    fn ask(
        &'static self,
        options: &Options,
        path: &[&str],
        query: &[(String, String)],
    ) -> Result<Asked, Problem> {
        let refuse = |name: &str, why: &str| Problem::bad_request(format!("{name}: {why}"));
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let (mut cursor, mut limit, mut sort) = (None, options.default_limit, "");
        for (at, (name, text)) in query.iter().enumerate() {
            if query[..at].iter().any(|(before, _)| before == name) {
                return Err(refuse(name, "given twice"));
            }
            match name.as_str() {
                "cursor" => cursor = Some(text),
                "sort" => sort = text,
                "limit" => {
                    let number = text.parse().ok().filter(|n| (1..=options.max_limit).contains(n));
                    let why = format!("a number from 1 to {}", options.max_limit);
                    limit = number.ok_or_else(|| refuse(name, &why))?;
                }
                _ => {
                    let filter = self.filters.iter().find(|filter| filter.name == name);
                    let filter = filter.ok_or_else(|| refuse(name, "no such parameter"))?;
                    conditions.push(filter.holds);
                    values.push((filter.value)(text).map_err(|why| refuse(name, why))?);
                }
            }
        }
        let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |sort| (sort, true));
        let known = self.sorts.iter().find(|sort| name.is_empty() || sort.name == name);
        let sort_by = known.ok_or_else(|| refuse("sort", "no such order"))?;
        let binding = self.binding(path, query);
        let after = cursor
            .map(|text| binding.open(text).ok_or_else(|| refuse("cursor", "not of this list")));
        let after = after.transpose()?;
        Ok(Asked { conditions, values, sort: sort_by, descending, after, limit, binding })
    }

    /// What a cursor is bound to: all parameters but itself and the size of pages, in any order.
    fn binding(&self, path: &[&str], query: &[(String, String)]) -> Binding {
        let asked = query.iter().filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit"));
        let mut asked: Vec<_> = asked.collect();
        asked.sort();
        let asked = asked.into_iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
        Binding::new(std::iter::once(self.name).chain(path.iter().copied()).chain(asked))
    }

    /// All that enters the text is of this listing.
    fn statement(&self, asked: &Asked, path: &[&str]) -> Result<(String, Vec<Value>), Problem> {
        let Asked { sort: Sort { column, kind, .. }, descending, .. } = asked;
        let (direction, beyond) = if *descending { ("DESC", "<") } else { ("ASC", ">") };
        let mut params: Vec<Value> = path.iter().map(|value| (*value).into()).collect();
        let mut sql = format!("SELECT {} FROM {} WHERE {}", self.columns, self.table, self.bound);
        for condition in &asked.conditions {
            sql.push_str(" AND ");
            sql.push_str(condition);
        }
        params.extend(asked.values.iter().cloned());
        if let Some(Position(value, id)) = &asked.after {
            let damaged = || Problem::bad_request("cursor: not of this list");
            let value = kind.read(value).ok_or_else(damaged)?;
            // The first comparison is what an index finds the place by.
            sql.push_str(&format!(
                " AND {column} {beyond}= ? AND ({column} {beyond} ? OR id {beyond} ?)"
            ));
            params.extend([value.clone(), value, self.key.read(id).ok_or_else(damaged)?]);
        }
        sql.push_str(&format!(" ORDER BY {column} {direction}, id {direction} LIMIT ?"));
        // One more tells whether there is more.
        params.push(Value::Int(i64::try_from(asked.limit + 1).unwrap_or(i64::MAX)));
        Ok((sql, params))
    }

    fn cut<T>(
        &self,
        rows: &[Row],
        asked: &Asked,
        view: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Page<T>, DbError> {
        let (shown, more) = rows.split_at(rows.len().min(asked.limit));
        let items = shown.iter().map(view).collect::<Result<_, _>>()?;
        let last = shown.last().filter(|_| !more.is_empty());
        let next_cursor = last.map(|row| {
            let value = asked.sort.kind.write(row, asked.sort.column)?;
            Ok::<_, DbError>(asked.binding.seal(&Position(value, self.key.write(row, "id")?)))
        });
        Ok(Page { items, next_cursor: next_cursor.transpose()? })
    }
}

impl Kind {
    fn write(self, row: &Row, column: &str) -> Result<String, DbError> {
        Ok(match self {
            Self::Int => row.int(column)?.to_string(),
            Self::Text => row.text(column)?,
            Self::Time => row.time(column)?.timestamp_micros().to_string(),
        })
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Int => text.parse::<i64>().ok().map(Value::Int),
            Self::Text => Some(text.into()),
            Self::Time => DateTime::from_timestamp_micros(text.parse().ok()?).map(Value::Time),
        }
    }
}
