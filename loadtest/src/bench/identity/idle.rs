//! What an idle service costs whoever looks at it.

use super::bed::Bed;
use crate::bench::goals::Figure;
use crate::bench::idle::scrapes;

pub(super) async fn idle(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let admin = bed.admin().await?;
    let ids = ["identity.scrape_ms", "identity.series_idle"];
    let figures = scrapes(&admin.client, admin.looked_at(), ids).await?;
    admin.stop().await?;
    Ok(figures)
}
