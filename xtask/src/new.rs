//! Writes the first form of a cause or a case.

use std::error::Error;
use std::fs;

/// Writes `crates/netwhy-causes/src/causes/NAME.rs` or `crates/netwhy-lab/src/cases/NAME.rs`.
pub(crate) fn run(kind: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let id = name.replace('_', "-");
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !id.chars().all(good) {
        return Err(format!("{name:?} is not a condition in kebab case").into());
    }
    let stem = id.replace('-', "_");
    let (file, template) = match kind {
        "cause" => {
            (format!("crates/netwhy-causes/src/causes/{stem}.rs"), include_str!("../templates/cause.rs.txt"))
        }
        "case" => {
            (format!("crates/netwhy-lab/src/cases/{stem}.rs"), include_str!("../templates/case.rs.txt"))
        }
        other => return Err(format!("{other:?} is neither cause nor case").into()),
    };
    let path = crate::root().join(&file);
    if path.exists() {
        return Err(format!("{file} exists").into());
    }
    fs::write(&path, template.replace("CONDITION", &id))?;
    let package = if kind == "cause" { "netwhy-causes" } else { "netwhy-lab" };
    println!(
        "wrote {file}\nnext: fill it in, then cargo test -p {package} (once to rewrite the list, once to pass)"
    );
    if kind == "cause" {
        println!("then: cargo xtask new case {id}");
    }
    Ok(())
}
