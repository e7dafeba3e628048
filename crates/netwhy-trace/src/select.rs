//! Parts of a script that depend on the kernel or on an option: lines between `//#if`, `//#else` and `//#end`.
//!
//! A condition is `arg EVENT NAME` (a raw tracepoint with that argument), `event EVENT`, `field STRUCT NAME`,
//! `enum NAME` (an enumerator), `opt NAME` (a named parameter was given), or `not` and one of these. What is left out becomes empty lines, so
//! that every place in the script keeps its line.

use netwhy_lang::types::{Tag, TypeDesc, Types};

/// The script as it is for this kernel and these options.
pub fn select(script: &str, types: &dyn Types, named: &[(String, String)]) -> Result<String, String> {
    let mut out = String::with_capacity(script.len());
    // For each open `#if`: whether the lines around it are kept, and whether its condition held.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut keep = true;
    for (n, line) in script.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", n + 1);
        match line.trim_start().strip_prefix("//#") {
            Some(rest) => {
                let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                match word {
                    "if" => {
                        let holds = condition(rest, types, named).map_err(|e| wrong(&e))?;
                        open.push((keep, holds));
                        keep = keep && holds;
                    }
                    "else" => {
                        let (outer, held) = *open.last().ok_or_else(|| wrong("#else without #if"))?;
                        keep = outer && !held;
                    }
                    "end" => keep = open.pop().ok_or_else(|| wrong("#end without #if"))?.0,
                    _ => return Err(wrong(&format!("unknown #{word}"))),
                }
            }
            None if keep => out.push_str(line),
            None => {}
        }
        out.push('\n');
    }
    if open.is_empty() { Ok(out) } else { Err("an #if is never ended".to_owned()) }
}

fn condition(text: &str, types: &dyn Types, named: &[(String, String)]) -> Result<bool, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["not", ..] => Ok(!condition(text.trim_start().trim_start_matches("not"), types, named)?),
        ["event", event] => Ok(types.raw_tracepoint(event).is_some()),
        ["arg", event, name] => {
            Ok(types.raw_tracepoint(event).is_some_and(|s| s.params.iter().any(|p| p.name == name)))
        }
        ["field", of, name] => Ok(has_field(types, of, name)),
        ["enum", name] => Ok(types.enumerator(name).is_some()),
        ["opt", name] => Ok(named.iter().any(|(known, _)| known == name)),
        _ => Err(format!("unknown condition `{text}`")),
    }
}

fn has_field(types: &dyn Types, of: &str, name: &str) -> bool {
    let mut todo: Vec<_> = types.find(Tag::Struct, of).into_iter().collect();
    while let Some(id) = todo.pop() {
        if let Some(TypeDesc::Struct { members, .. }) = types.describe(id) {
            if members.iter().any(|m| m.name == name) {
                return true;
            }
            todo.extend(members.iter().filter(|m| m.name.is_empty()).map(|m| m.ty));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_lang::types::{RecordField, Signature, TypeId};

    /// A kernel without anything.
    struct Nothing;

    impl Types for Nothing {
        fn find(&self, _: Tag, _: &str) -> Option<TypeId> {
            None
        }
        fn describe(&self, _: TypeId) -> Option<TypeDesc> {
            None
        }
        fn enumerator(&self, _: &str) -> Option<(i64, TypeId)> {
            None
        }
        fn function(&self, _: Option<&str>, _: &str) -> Option<Signature> {
            None
        }
        fn raw_tracepoint(&self, _: &str) -> Option<Signature> {
            None
        }
        fn tracepoint(&self, _: &str, _: &str) -> Option<Vec<RecordField>> {
            None
        }
        fn symbol(&self, _: &str) -> Option<u64> {
            None
        }
        fn similar(&self, _: Tag, _: &str) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn lines_are_kept_or_emptied() {
        let script = "a\n//#if opt x\nb\n//#if event e\nc\n//#end\n//#else\nd\n//#end\ne\n";
        let given = [("x".to_owned(), "1".to_owned())];
        assert_eq!(select(script, &Nothing, &given).unwrap(), "a\n\nb\n\n\n\n\n\n\ne\n");
        assert_eq!(select(script, &Nothing, &[]).unwrap(), "a\n\n\n\n\n\n\nd\n\ne\n");
        assert_eq!(select("//#if not opt x\ny\n//#end", &Nothing, &[]).unwrap(), "\ny\n\n");
    }

    #[test]
    fn mistakes_have_a_line() {
        assert_eq!(select("a\n//#end", &Nothing, &[]).unwrap_err(), "line 2: #end without #if");
        assert!(select("//#if moon full", &Nothing, &[]).unwrap_err().contains("moon"));
        assert!(select("//#if opt x", &Nothing, &[]).is_err());
    }
}
