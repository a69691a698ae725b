"""A server that speaks TLS, and asks for certificates of clients."""

import signal

import grpc
import trustme
from deriva.v1 import graph_pb2

from .access import SECRETS, bearer
from .serving import Client, holds, same, until
from .told import refused


class Certificates:
    """An authority, the certificate of the server in files, and that of a client."""

    def __init__(self, folder):
        self.folder, self.authority = folder, trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.crt")
        self.client = self.authority.issue_cert("client@example.org")
        self.renew(self.authority)

    def renew(self, authority):
        """Writes another certificate of the server, signed by this authority."""
        server = authority.issue_cert("localhost", "127.0.0.1")
        (self.folder / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
        server.private_key_pem.write_to_path(self.folder / "tls.key")

    def options(self):
        return ["--tls-cert", self.folder / "tls.crt", "--tls-key", self.folder / "tls.key", "--tls-client-ca", self.folder / "ca.crt"]

    def client_of(self, server, trusted=None, shows=None, token=None):
        """A client that trusts an authority, shows a certificate or none, and gives the token with each call by itself."""
        trusted, shows = trusted or self.authority, shows or (None, None)
        credentials = grpc.ssl_channel_credentials(trusted.cert_pem.bytes(), *shows)
        if token:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        return Client(server.address, credentials)

    def shown(self):
        """Key and certificate of the client."""
        return self.client.private_key_pem.bytes(), self.client.cert_chain_pems[0].bytes()


def checks(certificates):
    functions = graph_pb2.FunctionsRequest()

    def mutual(server, _):
        """TLS: who trusts the server, shows a certificate and has a token is answered; the token is asked for all the same"""
        with certificates.client_of(server, shows=certificates.shown(), token=SECRETS["read"]) as client:
            holds("functions are listed", len(client.graph.Functions(functions).functions) > 10)
        with certificates.client_of(server, shows=certificates.shown()) as client:
            same("without a token", refused(lambda: client.graph.Functions(functions)).code, grpc.StatusCode.UNAUTHENTICATED)

    def not_trusted(server, plain):
        """TLS: no certificate, one of strangers, a server that is not trusted, no TLS at all: no connection"""
        stranger = trustme.CA()
        theirs = stranger.issue_cert("client@example.org")
        theirs = theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes()
        for what, options in [
            ("no certificate", {}),
            ("one of strangers", {"shows": theirs}),
            ("a server that is not trusted", {"shows": certificates.shown(), "trusted": stranger}),
        ]:
            with certificates.client_of(server, **options) as client:
                told = refused(lambda: client.graph.Functions(functions, metadata=bearer(SECRETS["read"])))
                same(what, (told.code, told.kind), (grpc.StatusCode.UNAVAILABLE, None))
        same("no TLS", refused(lambda: plain.graph.Functions(functions)).code, grpc.StatusCode.UNAVAILABLE)

    def renewed(server, _):
        """SIGHUP: connections that begin from then on see the certificate that is in the file now"""
        other = trustme.CA()
        certificates.renew(other)
        server.process.send_signal(signal.SIGHUP)
        until("the server has read it", lambda: any("were read again" in line for line in server.said))
        with certificates.client_of(server, trusted=other, shows=certificates.shown(), token=SECRETS["read"]) as client:
            holds("functions are listed", len(client.graph.Functions(functions).functions) > 10)

    return [mutual, not_trusted, renewed]
