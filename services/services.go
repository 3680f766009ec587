// Package services is the table of the services of the bus. All code that
// runs, provisions, documents or checks services iterates over it.
package services

import (
	"github.com/openclaw-security/bus/services/auditor"
	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/shipper"
)

// All returns the services, in the order in which one process starts them.
func All() []service.Spec {
	return []service.Spec{
		shipper.Spec(),
		guardstub.Spec(),
		proxy.Spec(),
		notifier.Spec(),
		auditor.Spec(),
	}
}

// Layout returns what the services and the operators have on the bus of a
// deployment.
func Layout(d service.Deployment) (service.Layout, error) { return service.Join(All(), d) }
