//! The repository keeps its shape: floors, `unsafe`, sizes, licences, and nothing about the machine it was written on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Rows of the first table of ARCHITECTURE.md whose header begins with `| crate |`: crate and what it may use.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("ARCHITECTURE.md");
    let table = text.split("| crate |").nth(1).expect("ARCHITECTURE.md has no table of crates");
    let mut out = BTreeMap::new();
    for line in table.lines().skip(2).take_while(|l| l.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').to_string();
        let uses = cells[3].split(',').map(str::trim).filter(|w| *w != "-" && !w.is_empty());
        out.insert(name, uses.map(|w| format!("netwhy-{w}")).collect());
    }
    out
}

/// Crates of this workspace a manifest's section names.
fn edges(manifest: &str, section: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut out = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == format!("[{section}]");
        } else if inside && line.starts_with("netwhy-") {
            out.insert(line.split(['.', ' ', '=']).next().unwrap().to_string());
        }
    }
    out
}

#[test]
fn crates_use_only_what_the_architecture_says() {
    let declared = declared();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let row =
            declared.get(&name).unwrap_or_else(|| panic!("{name}: say in ARCHITECTURE.md what it may use"));
        let manifest = read(format!("crates/{name}/Cargo.toml"));
        assert_eq!(&edges(&manifest, "dependencies"), row, "{name}: manifest and ARCHITECTURE.md differ");
        found.insert(name);
    }
    let rows: BTreeSet<String> = declared.into_keys().collect();
    assert_eq!(rows, found, "ARCHITECTURE.md has rows without a crate");
}

/// Tracked files; without git (an unpacked archive) every file outside `target`.
fn files() -> Vec<PathBuf> {
    let listed = std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    if let Ok(out) = listed
        && out.status.success()
        && !out.stdout.is_empty()
    {
        let text = String::from_utf8(out.stdout).unwrap();
        return text.split('\0').filter(|f| !f.is_empty()).map(PathBuf::from).collect();
    }
    fn visit(dir: &Path, base: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != ".git" {
                visit(&path, base, out);
            } else if path.is_file() {
                out.push(path.strip_prefix(base).unwrap().to_path_buf());
            }
        }
    }
    let mut out = Vec::new();
    visit(&root(), &root(), &mut out);
    out
}

fn sources() -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
        .filter_map(|f| fs::read_to_string(root().join(&f)).ok().map(|text| (f, text)))
        .collect()
}

#[test]
fn unsafe_lives_in_one_crate() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        if name == "netwhy-sys" {
            continue;
        }
        let main = ["src/lib.rs", "src/main.rs"].iter().map(|f| dir.join(f)).find(|f| f.exists()).unwrap();
        let text = fs::read_to_string(main).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} does not forbid unsafe code");
    }
    let block = ["unsafe", " {"].concat();
    let function = ["unsafe", " fn "].concat();
    for (file, text) in sources() {
        if file.starts_with("crates/netwhy-sys") {
            continue;
        }
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(!code.contains(&block) && !code.contains(&function), "{}:{}", file.display(), i + 1);
        }
    }
}

#[test]
fn large_files_say_why() {
    for (file, text) in sources() {
        // Tests beside the code do not count.
        let lines = text.lines().take_while(|l| l.trim() != "#[cfg(test)]").count();
        if lines > 500 {
            eprintln!("look twice: {} has {lines} lines", file.display());
        }
        let header: String = text.lines().take_while(|l| l.starts_with("//!")).collect();
        assert!(
            lines <= 1000 || header.to_lowercase().contains("longer than"),
            "{} has {lines} lines: split it, or say in its header why it is longer than 1,000",
            file.display()
        );
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name them either.
    let paths = [["/wo", "rk/"], ["/tmp/", "wt"], ["/tmp/", "target/"], ["/ro", "ot/."], ["/ho", "me/"]]
        .map(|p| p.concat());
    for file in files() {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (i, line) in text.lines().enumerate() {
            if let Some(path) = paths.iter().find(|p| line.contains(p.as_str())) {
                panic!("{}:{} names {path}", file.display(), i + 1);
            }
        }
    }
}

/// Licences of everything that is linked, by cargo's own account.
#[test]
fn dependencies_are_permissive() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = std::process::Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    if !out.status.success() {
        eprintln!("skipped: cargo metadata failed: {}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let deny = read("deny.toml");
    let allowed: BTreeSet<&str> = deny
        .split("allow = [")
        .nth(1)
        .and_then(|t| t.split(']').next())
        .expect("deny.toml has no list of licences")
        .split('"')
        .skip(1)
        .step_by(2)
        .collect();
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let used: BTreeSet<&str> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().filter_map(|n| n["id"].as_str()).collect();
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if !used.contains(package["id"].as_str().unwrap_or_default()) {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(permits(licence, &allowed), "{}: {licence}", package["name"]);
        seen += 1;
    }
    assert!(seen > 10);
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is the old way to write OR.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let words = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut at = 0;
    let ok = any_of(&words, &mut at, allowed);
    ok && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut ok = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        ok |= all_of(words, at, allowed);
    }
    ok
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut ok = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        ok &= one(words, at, allowed);
    }
    ok
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let ok = any_of(words, at, allowed);
        *at += 1;
        return ok;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only adds permission, but it is not looked at here: another alternative has to do.
        *at += 2;
        return false;
    }
    allowed.contains(word)
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for (expression, ok) in [
        ("MIT", true),
        ("GPL-2.0", false),
        ("MIT OR GPL-2.0", true),
        ("MIT AND GPL-2.0", false),
        ("MIT/Apache-2.0", true),
        ("(GPL-2.0 OR MIT) AND ISC", true),
        ("(GPL-2.0 OR MIT) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("none", false),
    ] {
        assert_eq!(permits(expression, &allowed), ok, "{expression}");
    }
}

#[test]
fn the_texts_a_reader_expects_are_there() {
    for file in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"]
    {
        assert!(read(file).len() > 500, "{file} is nearly empty");
    }
    assert!(read("ARCHITECTURE.md").lines().count() < 300);
    // The recipes name files and commands that exist.
    let text = read("CONTRIBUTING.md") + &read("ARCHITECTURE.md");
    for quoted in text.split('`').skip(1).step_by(2) {
        let path = quoted.split(' ').next().unwrap_or_default();
        let concrete = !path.contains(|c: char| c.is_uppercase() || "*{<(".contains(c));
        let rooted = ["crates/", "xtask/", "docs/", "netwhy-"].iter().any(|p| path.starts_with(p));
        if concrete && rooted && path.contains('/') && !path.contains("your_condition") {
            let found = root().join(path).exists() || root().join("crates").join(path).exists();
            assert!(found, "{quoted} does not exist");
        }
    }
}
