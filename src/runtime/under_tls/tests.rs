use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::super::Reactor;
use super::*;

fn pair() -> (Rc<Reactor>, UnderTls, UnixStream) {
    let reactor = Reactor::new().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    there.set_nonblocking(true).unwrap();
    let watched = Watched::new(&reactor, TcpStream::from(OwnedFd::from(here))).unwrap();
    (reactor, UnderTls::new(watched), there)
}

/// What `count` bytes of room get.
fn read(transport: &mut UnderTls, count: usize) -> Result<String, io::ErrorKind> {
    let mut buffer = vec![0; count];
    let count = transport.read(&mut buffer).map_err(|error| error.kind())?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

#[test]
fn records_that_came_together_are_read_at_once_and_nothing_is_kept_behind_them() {
    let (reactor, mut transport, mut there) = pair();
    there.write_all(b"head1one..head2two").unwrap();
    assert_eq!(read(&mut transport, 5).as_deref(), Ok("head1"));
    // Nothing of it is in the kernel any more.
    reactor.look();
    assert!(!transport.watched.registration.readable() && transport.has_ahead());
    for part in ["one..", "head2"] {
        assert_eq!(read(&mut transport, 5).as_deref(), Ok(part));
    }
    there.write_all(b"!").unwrap();
    assert_eq!(read(&mut transport, 9).as_deref(), Ok("two"), "what came first comes first");
    assert!(!transport.has_ahead() && transport.ahead.capacity() == 0);
    assert_eq!(read(&mut transport, 9), Err(io::ErrorKind::WouldBlock));
    reactor.look();
    assert_eq!(read(&mut transport, 9).as_deref(), Ok("!"));
}

#[test]
fn more_than_is_read_ahead_arrives_whole_and_in_order() {
    let (reactor, mut transport, mut there) = pair();
    let sent: String = (0..9000).map(|index| char::from(b'a' + (index % 23) as u8)).collect();
    there.write_all(sent.as_bytes()).unwrap();
    let mut found = String::new();
    while found.len() < sent.len() {
        reactor.look();
        found += &read(&mut transport, 7).unwrap();
    }
    assert!(found == sent);
    assert_eq!(read(&mut transport, 7), Err(io::ErrorKind::WouldBlock));
}

#[test]
fn an_end_without_close_notify_is_an_error_behind_what_came_before_it() {
    let (reactor, mut transport, mut there) = pair();
    there.write_all(b"head1rest").unwrap();
    drop(there);
    reactor.look();
    assert_eq!(read(&mut transport, 5).as_deref(), Ok("head1"));
    assert_eq!(read(&mut transport, 5).as_deref(), Ok("rest"));
    assert_eq!(read(&mut transport, 5), Err(io::ErrorKind::UnexpectedEof));
}

#[test]
fn a_record_that_is_reported_late_goes_out_at_once_and_only_once() {
    let (_reactor, mut transport, mut there) = pair();
    transport.report = Report::Asked;
    let refused = transport.write(b"record").map_err(|error| error.kind());
    assert_eq!(refused, Err(io::ErrorKind::WouldBlock));
    let mut found = [0; 16];
    assert_eq!(there.read(&mut found).unwrap(), 6);
    // Anything but the same record would get lost.
    let other = transport.write(b"another").map_err(|error| error.kind());
    assert_eq!(other, Err(io::ErrorKind::InvalidInput));
    assert_eq!(transport.write(b"record").unwrap(), 6);
    assert_eq!(there.read(&mut found).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    // What OpenSSL would make of the call that reports it must not get out.
    let made_up = transport.write(b"made up").map_err(|error| error.kind());
    assert_eq!(made_up, Err(io::ErrorKind::InvalidInput));
    transport.report = Report::AtOnce;
    assert_eq!(transport.write(b"next").unwrap(), 4);
    assert_eq!(there.read(&mut found).unwrap(), 4);
}

#[test]
fn what_is_written_after_a_read_is_reported_at_once() {
    let (reactor, mut transport, mut there) = pair();
    transport.begin();
    assert_eq!(read(&mut transport, 5), Err(io::ErrorKind::WouldBlock));
    assert!(transport.fresh, "nothing came");
    // A `KeyUpdate`, say: its answer is the next record that OpenSSL makes, and no content.
    there.write_all(b"head1").unwrap();
    reactor.look();
    assert_eq!(read(&mut transport, 5).as_deref(), Ok("head1"));
    assert!(!transport.fresh);
}

#[test]
fn what_may_need_an_answer_is_handed_on_behind_the_report() {
    let content = [23, 3, 3, 1, 0];
    for header in [&[22, 3, 3, 1, 0][..], &[23, 3, 3, 0, 22], &[23, 3], &content] {
        let (_reactor, mut transport, mut there) = pair();
        transport.report = Report::Asked;
        transport.write(b"record").unwrap_err();
        let came = [header, b"rest"].concat();
        there.write_all(&came[..if header.len() < 5 { header.len() } else { came.len() }]).unwrap();
        let mut found = [0; HEADER_BYTES];
        if header != content {
            let kept = transport.read(&mut found).map_err(|error| error.kind());
            assert_eq!(kept, Err(io::ErrorKind::WouldBlock), "{header:?}");
            assert!(matches!(transport.report, Report::Unreported { called: true, .. }));
            assert_eq!(transport.write(b"record").unwrap(), 6);
        }
        assert_eq!(transport.read(&mut found).unwrap(), header.len());
        assert_eq!(found[..header.len()], *header);
    }
}

#[test]
fn a_record_that_the_kernel_takes_in_part_is_reported_in_part() {
    let (_reactor, mut transport, mut there) = pair();
    let large = vec![b'x'; 4 << 20];
    transport.report = Report::Asked;
    let count = transport.write(&large).unwrap();
    assert!(count < large.len());
    let full = transport.write(&large[count..]).map_err(|error| error.kind());
    assert_eq!(full, Err(io::ErrorKind::WouldBlock));
    assert!(matches!(transport.report, Report::Asked), "nothing of it was sent");
    let mut found = vec![0; 8 << 20];
    let mut room = 0;
    while let Ok(more) = there.read(&mut found) {
        room += more;
    }
    assert_eq!(room, count);
}
