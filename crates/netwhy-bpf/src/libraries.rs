//! Finding the file a user probe names: a path, a program on `PATH`, a library by name.

use std::path::{Path, PathBuf};

use netwhy_sys::procfs::Tree;

use crate::wildcard;

/// Files a probe's first part stands for, as it was written. A name without a slash is looked for on `PATH` and then
/// among the libraries; the last component may hold wildcards; `*` or nothing is everything a process runs.
#[must_use]
pub fn files(name: &str, pid: Option<u32>) -> Vec<String> {
    if let (Some(pid), "" | "*") = (pid, name) {
        return mapped(pid);
    }
    if name.contains(['*', '?', '[']) {
        return wild(name);
    }
    if name.contains('/') {
        return if Path::new(name).is_file() { vec![name.to_owned()] } else { inside(name, pid) };
    }
    if let Some(found) = on_path(name) {
        return vec![found];
    }
    library(name).into_iter().collect()
}

/// A path that only exists as the process sees it.
fn inside(name: &str, pid: Option<u32>) -> Vec<String> {
    let Some(pid) = pid.filter(|_| name.starts_with('/')) else { return Vec::new() };
    let there = format!("/proc/{pid}/root{name}");
    if Path::new(&there).is_file() { vec![there] } else { Vec::new() }
}

/// Every file a process has mapped to run, reached through its own root.
fn mapped(pid: u32) -> Vec<String> {
    let text = Tree::proc().read(format!("{pid}/maps")).unwrap_or_default();
    let mut all: Vec<String> = Vec::new();
    for mapping in crate::users::mappings(&text) {
        let path = format!("/proc/{pid}/root{}", mapping.path);
        if mapping.path.starts_with('/') && !all.contains(&path) {
            all.push(path);
        }
    }
    all
}

fn wild(name: &str) -> Vec<String> {
    let (dir, prefix, pattern) = match name.rsplit_once('/') {
        Some(("", pattern)) => ("/", "/".to_owned(), pattern),
        Some((dir, pattern)) => (dir, format!("{dir}/"), pattern),
        None => (".", String::new(), name),
    };
    let mut all: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|file| wildcard::matches(pattern, file))
        .map(|file| format!("{prefix}{file}"))
        .collect();
    all.sort();
    all
}

fn on_path(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())?;
    Some(found.to_string_lossy().into_owned())
}

/// A library by name: `libc`, `libssl.so`, `libssl.so.3`.
fn library(name: &str) -> Option<String> {
    let full = if name.starts_with("lib") { name.to_owned() } else { format!("lib{name}") };
    let fits = |file: &str| {
        file == full
            || file.strip_prefix(&full).is_some_and(|rest| rest == ".so" || rest.starts_with(".so."))
            || full.contains(".so") && file.starts_with(&format!("{full}."))
    };
    let cached = std::fs::read("/etc/ld.so.cache").map(|bytes| cache(&bytes)).unwrap_or_default();
    if let Some((_, path)) = cached.into_iter().find(|(file, path)| fits(file) && Path::new(path).is_file()) {
        return Some(path);
    }
    let arch = std::env::consts::ARCH;
    let places = [
        format!("/lib/{arch}-linux-gnu"),
        format!("/usr/lib/{arch}-linux-gnu"),
        "/lib64".to_owned(),
        "/usr/lib64".to_owned(),
        "/lib".to_owned(),
        "/usr/lib".to_owned(),
    ];
    places.iter().find_map(|place| {
        let mut names: Vec<String> = std::fs::read_dir(place)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|file| fits(file))
            .collect();
        names.sort();
        names.first().map(|file| PathBuf::from(place).join(file).to_string_lossy().into_owned())
    })
}

/// Names and paths of 64-bit libraries in the dynamic loader's cache (`glibc-ld.so.cache1.1`).
fn cache(bytes: &[u8]) -> Vec<(String, String)> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    let Some(start) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) else {
        return Vec::new();
    };
    let table = bytes.get(start..).unwrap_or_default();
    let word = |at: usize| table.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
    let text = |at: u32| {
        let rest = table.get(at as usize..)?;
        Some(String::from_utf8_lossy(rest.split(|&b| b == 0).next()?).into_owned())
    };
    let count = word(20).unwrap_or(0).min(100_000) as usize;
    // Flags' second byte names the machine: x86-64 and arm64 with 64-bit addresses.
    let wanted = if cfg!(target_arch = "aarch64") { 0x0a00 } else { 0x0300 };
    (0..count)
        .filter_map(|n| {
            let at = 48 + 24 * n;
            (word(at)? & 0xff00 == wanted).then_some(())?;
            Some((text(word(at + 4)?)?, text(word(at + 8)?)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_paths_are_found() {
        assert_eq!(files("/bin/sh", None), ["/bin/sh"]);
        assert!(files("sh", None).first().is_some_and(|path| path.ends_with("/sh")));
        assert!(files("/no/such/file", None).is_empty() && files("no-such-program", None).is_empty());
    }

    #[test]
    fn a_damaged_cache_has_no_libraries() {
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend_from_slice(&[0xff; 60]);
        assert!(cache(&bytes).is_empty());
        assert!(cache(b"").is_empty());
    }

    #[test]
    fn the_c_library_is_found_where_there_is_one() {
        if Path::new("/etc/ld.so.cache").exists() {
            let found = library("libc").expect("libc");
            assert!(found.contains("libc.so") && Path::new(&found).is_file(), "{found}");
        } else {
            eprintln!("skipped: no /etc/ld.so.cache here");
        }
    }
}
