package llmtest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// defaultDimensions is the length of an embedding by text-embedding-3-small.
const defaultDimensions = 1536

// embeddings is OpenAI's API of that name, which does not stream. Each text has the same embedding. A
// directive stands in the last text.
type embeddings struct{}

var _ format = embeddings{}

func (embeddings) read(body []byte, _ *http.Request, p *prompt) *fault {
	p.dimensions = defaultDimensions
	for name, value := range members(body) {
		switch name {
		case "model":
			p.model = text(value)
		case "encoding_format":
			p.base64 = text(value) == "base64"
		case "dimensions":
			n, err := strconv.Atoi(string(value))
			if err != nil || n < 1 || n > 3072 {
				return missing("'dimensions' must be a number from 1 to 3072.")
			}
			p.dimensions = n
		case "input":
			newest, n := last(value)
			p.text, p.inputs = text(newest), n
			if value[0] == '"' {
				p.text, p.inputs = text(value), 1
			}
		}
	}
	switch {
	case p.model == "":
		return missing("A model must be named.")
	case p.inputs == 0 || p.inputs > 2048:
		return missing("'input' must be a text or a list of 1 to 2048 texts.")
	}
	return nil
}

func (embeddings) body(a *answer) []byte {
	vector := embedding(a.dimensions, a.base64)
	data := make([]string, a.inputs)
	for i := range data {
		data[i] = fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":%s}`, i, vector)
	}
	return fmt.Appendf(nil, `{"object":"list","data":[%s],"model":%s,"usage":{"prompt_tokens":%d,"total_tokens":%[3]d}}`,
		strings.Join(data, ","), quote(a.model), a.usage.input)
}

// embedding is a vector of length 1 as JSON: a list of numbers, or little-endian
// 32-bit floats in base64.
func embedding(dimensions int, packed bool) string {
	value := float32(1 / math.Sqrt(float64(dimensions)))
	if packed {
		var raw []byte
		for range dimensions {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
		}
		return quote(base64.StdEncoding.EncodeToString(raw))
	}
	number := strconv.FormatFloat(float64(value), 'g', -1, 32)
	return "[" + strings.Repeat(number+",", dimensions-1) + number + "]"
}
