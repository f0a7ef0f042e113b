//! The relay's disk is replaced by an earlier backup of it.

use std::time::Duration;

use queqiao::base::Wall;

use super::relay_disk::RelayDisk;
use super::simulation::Simulation;

impl Simulation {
    /// Kills the relay's process and replaces its disk by `backup`. Another process runs after
    /// `down`. Returns the number of accepted letters that only their senders have then.
    pub fn restore_relay(&mut self, backup: &RelayDisk, down: Duration) -> usize {
        self.log(|| "the relay is restored from a backup".to_owned());
        // A running commit goes to the disk that is lost.
        self.cut_off_relay();
        self.relay_disk = backup.restored(Wall(1));
        let lost = self.oracle.forget_lost(&self.relay_disk);
        self.restart_relay(down);
        lost
    }
}
