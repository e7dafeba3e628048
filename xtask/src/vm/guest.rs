//! A guest: an initramfs that mounts the host's root read-only under a throw-away layer and runs one script in it.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the guest needs to see the host's root.
const MODULES: [&str; 5] = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_blk"];

/// Runs as the first process of the guest.
const INIT: &str = r#"#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sysfs /sys; $B mount -t devtmpfs dev /dev
for m in $($B cat /mods/order); do $B insmod /mods/$m || $B echo "insmod $m failed"; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 rootfs /newroot
$B mount -t tmpfs -o size=1500m t /up; $B mkdir -p /up/u /up/w /up/m
$B mount -t overlay -o lowerdir=/newroot,upperdir=/up/u,workdir=/up/w o /up/m || $B echo overlay failed
N=/up/m
$B mkdir -p $N/proc $N/sys $N/dev $N/run
$B mount -t proc proc $N/proc; $B mount -t sysfs sysfs $N/sys; $B mount -t devtmpfs dev $N/dev; $B mount -t tmpfs run $N/run
$B ln -s /proc/self/fd $N/dev/fd; $B mkdir -p $N/dev/shm $N/dev/pts $N/lib/modules; $B mount -t devpts p $N/dev/pts
$B mount -t tracefs t $N/sys/kernel/tracing; $B mount -t debugfs d $N/sys/kernel/debug; $B mount -t bpf b $N/sys/fs/bpf
$B mount -t tmpfs c $N/sys/fs/cgroup; $B mkdir -p $N/sys/fs/cgroup/unified; $B mount -t cgroup2 c2 $N/sys/fs/cgroup/unified
$B ip link set lo up; $B hostname guest
run=$($B sed -n 's/.*guestrun=\([^ ]*\).*/\1/p' $N/proc/cmdline); md=$($B sed -n 's/.*guestmods=\([^ ]*\).*/\1/p' $N/proc/cmdline)
[ -n "$md" ] && $B mkdir -p $N/lib/modules/$($B uname -r) && $B mount -o bind $N$md $N/lib/modules/$($B uname -r)
$B echo "=== guest up $($B uname -r) at $($B cut -d' ' -f1 $N/proc/uptime)s"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb $B chroot $N /bin/sh $run 2>&1
$B echo "=== guest done rc=$? at $($B cut -d' ' -f1 $N/proc/uptime)s"
$B poweroff -f
"#;

/// The kernel looks for it in the root it started from.
const MODPROBE: &str = "#!/bin/busybox sh\nexec /bin/busybox chroot /up/m /sbin/modprobe \"$@\"\n";

/// A kernel that can be booted.
pub(crate) struct Guest {
    image: PathBuf,
    initrd: PathBuf,
    modules: PathBuf,
}

impl Guest {
    /// Makes the initramfs of an unpacked kernel.
    pub(crate) fn make(root: &Path) -> Result<Self, Box<dyn Error>> {
        let modules = [root.join("lib/modules"), root.join("usr/lib/modules")]
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok()?.next()?.ok().map(|entry| entry.path()))
            .next()
            .ok_or("the package has no modules")?;
        let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let base = modules.ancestors().nth(3).ok_or("modules are not in a root")?;
        let dep = modules.join("modules.dep");
        if fs::metadata(&dep).map_or(0, |found| found.len()) == 0 {
            let done = Command::new("depmod").arg("-b").arg(base).arg(&version).status()?;
            if !done.success() {
                return Err("depmod failed".into());
            }
        }
        let image = find_image(root).ok_or("the package has no kernel image")?;
        let initrd = root.join("initrd.cpio");
        fs::write(&initrd, initramfs(&modules)?)?;
        Ok(Guest { image, initrd, modules })
    }

    /// Boots, runs a script, and gives what the console said. Every line is handed on as it comes.
    pub(crate) fn run(
        &self,
        script: &Path,
        limit: Duration,
        mut each: impl FnMut(&str),
    ) -> Result<Vec<String>, Box<dyn Error>> {
        let append = format!(
            "console=ttyS0 quiet panic=-1 mitigations=off guestrun={} guestmods={}",
            script.display(),
            self.modules.display()
        );
        let mut child = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "2048", "-smp", "2"])
            .args(["-nographic", "-no-reboot", "-nic", "none", "-append", &append])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(&self.initrd)
            .args([
                "-virtfs",
                "local,path=/,mount_tag=rootfs,security_model=none,readonly=on,multidevs=remap",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let started = Instant::now();
        let console = child.stdout.take().ok_or("no console")?;
        let (to, from) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).replace('\r', "");
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        let mut lines = Vec::new();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            match from.recv_timeout(left) {
                Ok(line) => {
                    each(&line);
                    lines.push(line);
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    child.kill()?;
                    child.wait()?;
                    let last = lines.iter().rev().take(5).rev().cloned().collect::<Vec<_>>().join("\n");
                    return Err(
                        format!("the guest did not end within {limit:?}; its last lines:\n{last}").into()
                    );
                }
            }
        }
        child.wait()?;
        let _ = reader.join();
        Ok(lines)
    }
}

fn find_image(root: &Path) -> Option<PathBuf> {
    let mut places = vec![root.join("boot"), root.join("usr/boot")];
    for dir in [root.join("usr/lib/modules"), root.join("lib/modules"), root.join("usr/lib/linux")] {
        places.extend(fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    places.iter().find_map(|dir| {
        fs::read_dir(dir)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
    })
}

/// An archive in the `newc` form of cpio.
fn initramfs(modules: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "mods", "newroot", "proc", "sbin", "sys", "up"] {
        archive.add(dir, 0o40_755, b"");
    }
    archive.add("bin/busybox", 0o100_755, &fs::read("/bin/busybox").map_err(|e| format!("busybox: {e}"))?);
    let dep = fs::read_to_string(modules.join("modules.dep"))?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        // One that is not there is built in.
        let Some((path, needs)) = dep.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| {
            let file = path.rsplit('/').next().unwrap_or_default();
            file.strip_prefix(module).is_some_and(|rest| rest.starts_with(".ko"))
        }) else {
            continue;
        };
        for path in needs.split_whitespace().rev().chain([path]) {
            let file = path.rsplit('/').next().unwrap_or_default();
            let name = format!("{}.ko", file.split(".ko").next().unwrap_or_default());
            if !order.contains(&name) {
                archive.add(&format!("mods/{name}"), 0o100_644, &plain(&modules.join(path))?);
                order.push(name);
            }
        }
    }
    archive.add("mods/order", 0o100_644, (order.join("\n") + "\n").as_bytes());
    archive.add("init", 0o100_755, INIT.as_bytes());
    archive.add("sbin/modprobe", 0o100_755, MODPROBE.as_bytes());
    Ok(archive.finish())
}

/// A module's bytes, uncompressed.
fn plain(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let program = match path.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return Ok(fs::read(path)?),
    };
    let made = Command::new(program).arg("-dc").arg(path).output().map_err(|e| format!("{program}: {e}"))?;
    if made.status.success() {
        Ok(made.stdout)
    } else {
        Err(format!("{program} -dc {} failed", path.display()).into())
    }
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let fields =
            [self.inode, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, b"");
        self.bytes
    }
}
