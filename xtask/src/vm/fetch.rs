//! Kernels by name from Debian, with an apt configuration of its own: downloaded and unpacked, never installed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel of the matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    /// As on the command line and in the table.
    pub(crate) name: &'static str,
    /// The release of Debian that serves it.
    pub(crate) suite: &'static str,
}

/// Oldest first; the last is whatever is newest in Debian.
pub(crate) const KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suite: "bullseye" },
    Kernel { name: "6.1", suite: "bookworm" },
    Kernel { name: "6.12", suite: "trixie" },
    Kernel { name: "newest", suite: "sid" },
];

/// The unpacked kernel's root, fetched on the first call.
pub(crate) fn unpacked(kernel: Kernel, under: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let dir = under.join(kernel.suite);
    let root = dir.join("root");
    if root.join("done").exists() {
        return Ok(root);
    }
    let apt = Apt::new(&dir, kernel.suite)?;
    apt.run("apt-get", &["update", "-qq"], &dir)?;
    let image = apt.depends("linux-image-amd64", &dir)?;
    let image = image.into_iter().find(|name| name.starts_with("linux-image-"));
    let image = image.ok_or("linux-image-amd64 depends on no image")?;
    // Newer releases split the image and its modules into packages of their own.
    let mut packages = vec![image.clone()];
    let parts = apt.depends(&image, &dir)?;
    packages.extend(
        parts.into_iter().filter(|p| p.starts_with("linux-binary-") || p.starts_with("linux-modules-")),
    );
    let mut args = vec!["download"];
    args.extend(packages.iter().map(String::as_str));
    apt.run("apt-get", &args, &dir)?;
    fs::create_dir_all(&root)?;
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "deb") {
            let done = Command::new("dpkg-deb").arg("-x").arg(&path).arg(&root).status()?;
            if !done.success() {
                return Err(format!("dpkg-deb -x {} failed", path.display()).into());
            }
            fs::remove_file(&path)?;
        }
    }
    fs::write(root.join("done"), image)?;
    Ok(root)
}

/// The mirror of Debian that this machine is set up with.
fn mirror() -> Result<String, Box<dyn Error>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(more) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(more.flatten().map(|entry| entry.path()));
    }
    let known = |file: &PathBuf| file.extension().is_some_and(|ext| ext == "list" || ext == "sources");
    for file in files.iter().filter(|file| known(file)) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut words = lines.flat_map(str::split_whitespace).map(|word| word.trim_end_matches('/'));
        if let Some(found) = words.find(|word| word.contains("://") && word.ends_with("/debian")) {
            return Ok(found.to_owned());
        }
    }
    Err("apt is not set up with a mirror of Debian (/etc/apt/sources.list)".into())
}

/// apt with all its files in one directory.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(dir: &Path, suite: &str) -> Result<Self, Box<dyn Error>> {
        for sub in ["lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let sources = dir.join("etc/sources.list");
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        fs::write(&sources, format!("deb [signed-by={key}] {} {suite} main\n", mirror()?))?;
        let status = dir.join("etc/status");
        fs::write(&status, "")?;
        let at = |path: &Path| path.display().to_string();
        let options = [
            format!("Dir::Etc::sourcelist={}", at(&sources)),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at(&dir.join("lists"))),
            format!("Dir::State::status={}", at(&status)),
            format!("Dir::Cache={}", at(&dir.join("cache"))),
            // Downloads land in a directory that apt's own user cannot enter.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Apt { options: options.into_iter().flat_map(|o| ["-o".to_owned(), o]).collect() })
    }

    fn run(&self, program: &str, args: &[&str], dir: &Path) -> Result<String, Box<dyn Error>> {
        let made = Command::new(program).args(&self.options).args(args).current_dir(dir).output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(format!("{program} {}: {}", args.join(" "), said.trim()).into());
        }
        Ok(String::from_utf8_lossy(&made.stdout).into_owned())
    }

    fn depends(&self, package: &str, dir: &Path) -> Result<Vec<String>, Box<dyn Error>> {
        let text = self.run("apt-cache", &["depends", package], dir)?;
        let names = text.lines().filter_map(|line| Some(line.split_once("Depends: ")?.1.trim().to_owned()));
        Ok(names.collect())
    }
}
