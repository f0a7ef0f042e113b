//! A machine whose disk fails and whose clock jumps, by a small library that is loaded before the
//! system's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

/// Faults of the processes of one machine. They can change while those run.
#[derive(Clone)]
pub struct FaultInjector {
    dir: Arc<TempDir>,
}

impl FaultInjector {
    /// Returns a machine without faults yet.
    pub fn new() -> FaultInjector {
        library();
        FaultInjector { dir: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// Lets each sync of a file whose path ends with `tail` fail from now on.
    pub fn fail_sync(&self, tail: &str) {
        self.set("fsync", tail);
    }

    /// Repairs the disk. Returns the number of failed syncs.
    pub fn heal(&self) -> usize {
        fs::remove_file(self.dir.path().join("fsync")).unwrap();
        let failed = self.dir.path().join("failed");
        let count = fs::read(&failed).map_or(0, |bytes| bytes.len());
        let _ = fs::remove_file(failed);
        count
    }

    /// Sets the error of the wall clock, in seconds.
    pub fn set_clock(&self, wrong_by: i64) {
        self.set("clock", &wrong_by.to_string());
    }

    pub fn load_into(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("FAULTS", self.dir.path());
    }

    fn set(&self, name: &str, text: &str) {
        let fresh = self.dir.path().join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.dir.path().join(name)).unwrap();
    }
}

/// Returns the library, built once for each run of the tests.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = dir.join("faults.so");
        let fresh = dir.join(format!("faults-{}.so", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-Wall", "-O1", "-shared", "-fPIC", "-o"]).arg(&fresh);
        cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/harness/fault_injector.c"));
        assert!(cc.status().expect("SQLite needs a C compiler as well").success());
        fs::rename(fresh, &built).unwrap();
        built
    })
}
