mod decide;
mod mapping;
mod paths;
pub(crate) mod world;
