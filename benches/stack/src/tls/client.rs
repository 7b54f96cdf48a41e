//! The client: how a connection is opened in each way.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

use super::{CONNECTIONS, MESSAGE_BYTES};
use crate::ours::{self, Connection, Reactor, Tls};
use crate::{child, Result};

const MESSAGE: [u8; MESSAGE_BYTES] = [b'm'; MESSAGE_BYTES];

/// What the connections took.
#[derive(Default)]
struct Account {
    first_cpu: f64,
    first_rss: f64,
    start: f64,
}

impl Account {
    fn begin() -> Account {
        Account { start: child::cpu_seconds(), ..Account::default() }
    }

    /// Called after each connection.
    fn note(&mut self, index: usize) -> Result<()> {
        if index == 0 {
            self.first_cpu = child::cpu_seconds() - self.start;
            self.first_rss = child::rss_kb()?;
            self.start = child::cpu_seconds();
        }
        if index == CONNECTIONS {
            let count = CONNECTIONS as f64;
            let each_cpu = (child::cpu_seconds() - self.start) / count;
            let each_rss = (child::rss_kb()? - self.first_rss) / count;
            println!("{} {} {each_rss}", self.first_cpu * 1e3, each_cpu * 1e3);
        }
        Ok(())
    }
}

/// Opens the connections and prints ms of CPU for the first and for each further one, and KB of each.
pub fn connect(side: &str, port: u16, roots: &str) -> Result<()> {
    child::raise_file_limit()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match side {
        "ours" => {
            let reactor = Reactor::new()?;
            let executor = LocalExecutor::new();
            ours::block_on(&reactor, &executor, ours(&reactor, address))
        }
        _ => smol::block_on(theirs(side, address, roots)),
    }
}

async fn theirs(side: &str, address: SocketAddr, roots: &str) -> Result<()> {
    let mut kept = Vec::new();
    let mut account = Account::begin();
    let connector = if side == "async-native-tls" {
        async_native_tls::TlsConnector::new()
    } else {
        let mut builder = native_tls::TlsConnector::builder();
        builder.disable_built_in_roots(true);
        for root in native_tls::Certificate::stack_from_pem(&fs::read(roots)?)? {
            builder.add_root_certificate(root);
        }
        builder.into()
    };
    for index in 0..=CONNECTIONS {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let host = address.ip().to_string();
        let mut stream = connector.connect(host, Async::new(stream)?).await?;
        stream.write_all(&MESSAGE).await?;
        stream.read_exact(&mut [0; MESSAGE_BYTES]).await?;
        kept.push(stream);
        account.note(index)?;
    }
    Ok(())
}

async fn ours(reactor: &std::rc::Rc<Reactor>, address: SocketAddr) -> Result<()> {
    let mut kept = Vec::new();
    let mut account = Account::begin();
    let tls = Tls::default();
    for index in 0..=CONNECTIONS {
        let mut connection = Connection::open_tls(reactor, &tls, address).await?;
        connection.write_all(&MESSAGE).await?;
        let mut answer = Vec::new();
        while answer.len() < MESSAGE_BYTES {
            if connection.fill(&mut answer).await? == 0 {
                return Err("the server left".into());
            }
        }
        kept.push(connection);
        account.note(index)?;
    }
    Ok(())
}
