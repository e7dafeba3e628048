//! `netwhy schema`: the output contract as JSON Schema.

use crate::cli::Global;

/// Prints it.
pub(crate) fn run(global: &Global) -> anyhow::Result<u8> {
    super::print_json(&netwhy_render::schema::report_schema(), global)?;
    Ok(0)
}
