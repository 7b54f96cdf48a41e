use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::{block_on, poll_once};

use super::*;
use crate::language::Language;

/// Contexts that one test makes. Each test has its own.
macro_rules! counted {
    ($made:ident, $make:ident) => {
        static $made: AtomicUsize = AtomicUsize::new(0);
        fn $make() -> Result<TlsConnector, Text> {
            $made.fetch_add(1, Ordering::SeqCst);
            TlsConnector::builder().disable_built_in_roots(true).build().map_err(|e| cause(&e))
        }
    };
}

fn wait_until(made: &AtomicUsize, count: usize) {
    while made.load(Ordering::SeqCst) < count {
        std::thread::yield_now();
    }
}

#[test]
fn a_context_is_made_once_for_all_who_need_it() {
    counted!(MADE, make);
    let tls = Tls::with(make);
    block_on(async {
        let (one, two) = (tls.connector(), tls.connector());
        let (one, two) = futures_lite::future::zip(one, two).await;
        assert!(one.is_ok() && two.is_ok() && tls.connector().await.is_ok());
    });
    assert_eq!(MADE.load(Ordering::SeqCst), 1);
}

/// Whoever has the context made may be a request whose client leaves.
#[test]
fn a_reload_holds_though_whoever_reads_the_ca_files_again_leaves() {
    counted!(MADE, make);
    let tls = Tls::with(make);
    block_on(async {
        assert!(tls.connector().await.is_ok());
        tls.reload();
        let mut leaving = Box::pin(tls.connector());
        assert!(poll_once(&mut leaving).await.is_none());
        wait_until(&MADE, 2);
        drop(leaving);
        assert!(tls.connector().await.is_ok());
        assert_eq!(MADE.load(Ordering::SeqCst), 3, "the old CA files are still in force");
        assert!(tls.connector().await.is_ok());
        assert_eq!(MADE.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_reload_while_the_ca_files_are_read_has_them_read_once_more() {
    counted!(MADE, make);
    let tls = Tls::with(make);
    block_on(async {
        let mut first = Box::pin(tls.connector());
        assert!(poll_once(&mut first).await.is_none());
        wait_until(&MADE, 1);
        tls.reload();
        assert!(first.await.is_ok());
        assert!(tls.connector().await.is_ok());
        assert_eq!(MADE.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn ca_files_that_cannot_be_read_leave_the_old_context_in_force_and_are_not_read_for_each_connection(
) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let tls = Tls::with(|| match MADE.fetch_add(1, Ordering::SeqCst) {
        0 => TlsConnector::builder().disable_built_in_roots(true).build().map_err(|e| cause(&e)),
        _ => Err(Text::new("no roots")),
    });
    block_on(async {
        assert!(tls.connector().await.is_ok());
        tls.reload();
        assert!(tls.connector().await.is_ok() && tls.connector().await.is_ok());
        assert_eq!(MADE.load(Ordering::SeqCst), 2);
        tls.reload();
        assert!(tls.connector().await.is_ok());
        assert_eq!(MADE.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_cause_names_no_source_file_of_any_build_of_openssl() {
    let wanted = "certificate verify failed: self-signed certificate";
    // Debian's, and the one of the feature `vendored-tls`.
    for path in ["../ssl/statem/statem_clnt.c", "ssl/statem/statem_clnt.c"] {
        let text = format!(
            "error:0A000086:SSL routines:tls_post_process_server_certificate:\
             certificate verify failed:{path}:1889: (self-signed certificate)"
        );
        assert_eq!(plain(&text).get(Language::English), wanted);
        assert_eq!(plain(&text).get(Language::Chinese), "证书验证失败: 自签名证书");
    }
    let alert = "error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:\
                 ../ssl/record/rec_layer_s3.c:1601:SSL alert number 116";
    assert_eq!(plain(alert), "tlsv13 alert certificate required");
    let two = format!("{alert}, error:80000068:system library::reset:x.c:1:");
    assert_eq!(plain(&two), "tlsv13 alert certificate required: reset");
    assert_eq!(plain("unexpected EOF"), "unexpected EOF");
    assert_eq!(plain("reset\nby peer (os error 104)"), "reset by peer (os error 104)");
}
