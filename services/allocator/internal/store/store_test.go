package store_test

import (
	"testing"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/services/allocator/internal/store"
	"github.com/bursarhq/bursar/services/allocator/internal/store/storetest"
	"github.com/bursarhq/bursar/services/internal/site"
)

// The log works with the rights of the allocator's store connection and no others.
func TestLogKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) func(string) storetest.Log {
		js, err := store.NewJetStream(site.Start(t, nil).Conn(natsauth.Service(natsauth.RoleAllocatorStore)))
		if err != nil {
			t.Fatal(err)
		}
		return func(workspace string) storetest.Log {
			log, err := store.OpenLog(t.Context(), js, workspace, nil)
			if err != nil {
				t.Fatal(err)
			}
			return log
		}
	})
}

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) func(string) storetest.Log {
		memory := &storetest.Memory{}
		return func(workspace string) storetest.Log { return memory.Open(workspace) }
	})
}
