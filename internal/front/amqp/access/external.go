package access

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// From says which name of a client's certificate a user is found by, in RabbitMQ's words.
type From string

// The names of a certificate.
const (
	DistinguishedName From = "distinguished_name" // as RFC 4514 writes it: O=client,CN=ann
	CommonName        From = "common_name"
	AlternativeName   From = "subject_alternative_name" // the first: of hosts, else mail, URI, address
)

// external is the mechanism by which a client's certificate logs in.
const external = "EXTERNAL"

// certificate gives the certificate that a client has shown, or nil. Whoever listens has
// had it verified: one that nobody vouches for ends the connection.
func certificate(s *tls.ConnectionState) *x509.Certificate {
	if s == nil || len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return nil
	}
	return s.VerifiedChains[0][0]
}

// nameIn gives the user that a certificate names, or "".
func (f From) nameIn(c *x509.Certificate) string {
	switch f {
	case CommonName:
		return c.Subject.CommonName
	case AlternativeName:
		return alternative(c)
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	return rdns.String()
}

func alternative(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return ""
}
