package config

import "errors"

// Webhook says where each alert is posted to. Without a URL none is.
type Webhook struct {
	URL    Secret `env:"WEBHOOK_URL" doc:"URL that each alert is posted to; secret because many have a password in their path."`
	Secret Secret `env:"WEBHOOK_SECRET" doc:"Signs the requests as Standard Webhooks has it: webhook-signature is an HMAC-SHA256 with this. One that begins with whsec_ is base64."`
	Format string `env:"WEBHOOK_FORMAT, default=json" doc:"What is posted: json for the event as it is stored, cloudevents for a CloudEvent around it."`
}

// Enabled reports whether there is a URL.
func (w Webhook) Enabled() bool { return !w.URL.IsZero() }

// Validate implements the check that [Load] makes.
func (w Webhook) Validate() error {
	errs := []error{OneOf("WEBHOOK_FORMAT", w.Format, "json", "cloudevents")}
	if w.Enabled() && URL("WEBHOOK_URL", w.URL.Reveal(), "http", "https") != nil {
		errs = append(errs, Faultf("WEBHOOK_URL", "not a URL that starts with http:// or https://"))
	}
	if w.URL.IsZero() && !w.Secret.IsZero() {
		errs = append(errs, Faultf("WEBHOOK_SECRET", "set, while WEBHOOK_URL is not"))
	}
	return errors.Join(errs...)
}
