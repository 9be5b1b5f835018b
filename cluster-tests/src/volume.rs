//! A small file system, which can be filled and made read-only without harm to anybody else.
//!
//! It is mounted in a mount namespace that ends with this process: a child that watches its standard input holds it open.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Mounts a file system of `$1` MiB at `$2`, says so, and waits for the end of its standard input.
const MOUNT: &str =
    "mkdir -p \"$2\" && mount -t tmpfs -o size=$1m,mode=0755 volume \"$2\" && echo mounted && cat";

/// A mounted file system.
#[derive(Debug)]
pub struct Volume {
    holder: Child,
    path: PathBuf,
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Volume {
    /// Mounts `mib` MiB at `path`, for those alone who run [`Volume::under`] it.
    ///
    /// # Errors
    /// What this machine lacks: the right, or a program.
    pub fn mount(path: &Path, mib: u32) -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", MOUNT, "mount", &mib.to_string()])
            .arg(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        let _ = BufReader::new(holder.stdout.take().expect("it is a pipe")).read_line(&mut said);
        let mut volume = Self { holder, path: path.to_owned() };
        if said == "mounted\n" { Ok(volume) } else { Err(volume.refusal()) }
    }

    fn refusal(&mut self) -> String {
        let mut text = String::new();
        let _ = self.holder.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
        format!("no file system of our own: {}", text.trim())
    }

    /// The words of a command that runs a program where the volume is.
    pub fn under(&self) -> Vec<String> {
        ["nsenter", &format!("--mount=/proc/{}/ns/mnt", self.holder.id()), "--"].map(str::to_owned).to_vec()
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path by which this process reaches `name` in the volume.
    pub fn inside(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.path.strip_prefix("/").unwrap_or(&self.path)).join(name)
    }

    /// Fills it until only `bytes` are free.
    ///
    /// # Panics
    /// When it has fewer already, or does not take what should fit.
    pub fn leave(&self, bytes: u64) {
        let ballast = self.inside("ballast");
        let held = fs::metadata(&ballast).map_or(0, |metadata| metadata.len());
        let length = (held + self.free()).checked_sub(bytes).expect("there is more room than that");
        let file =
            fs::OpenOptions::new().create(true).append(true).open(&ballast).expect("it can be written");
        file.set_len(held.min(length)).expect("a file can be cut");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length).expect("there is room");
    }

    /// Takes away what [`Volume::leave`] has put there.
    pub fn clear(&self) {
        let _ = fs::remove_file(self.inside("ballast"));
    }

    /// The free space in bytes.
    pub fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(self.inside("")).expect("it is mounted");
        space.f_bavail * space.f_frsize
    }

    /// Lets nobody write to it, or everybody again.
    ///
    /// # Panics
    /// When somebody has a file open for writing.
    pub fn set_read_only(&self, read_only: bool) {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        let under = self.under();
        let status = Command::new(&under[0])
            .args(&under[1..])
            .args(["mount", "-o", option])
            .arg(&self.path)
            .status()
            .expect("nsenter was found before");
        assert!(status.success(), "{option}: {status}");
    }
}
