pub mod budget;
pub mod watermark;
