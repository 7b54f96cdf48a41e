//! Files that are read while others wait: regular ones, and whether they are still the ones of that name.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::language::Words;
use rustix::fs::OFlags;

/// Editors and `sed -i` put a new file in the place of the old one; a mount of the single file goes
/// on showing the old one.
pub(super) const REPLACED: Words = Words("读到的是已被替换或删除的旧文件；在容器里请挂载目录，而不是单个文件，然后重新创建容器", "this is an old file that was replaced or deleted: in a container mount the directory, not the file");

/// Whether an open file has no name any more. What is no regular file never had one.
pub(super) fn is_replaced(file: &Metadata) -> bool {
    file.is_file() && file.nlink() == 0
}

/// Opens a regular file. Neither this nor a read of it waits, as for the other end of a FIFO.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other(Words("不是普通文件", "is not a regular file")))
    }
}
