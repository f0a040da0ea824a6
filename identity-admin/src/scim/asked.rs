//! What a client asks of a list, by query or by body (RFC 7644 sections 3.4.2 and 3.4.3).

use serde::Deserialize;

use super::fault::{Fault, Kind as FaultKind};
use super::parse;
use super::project::Shown;
use super::schema::{Place, Type};
use super::search::Search;

/// What a query may say.
const NAMES: [&str; 7] =
    ["filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes"];

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
