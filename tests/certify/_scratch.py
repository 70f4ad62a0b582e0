import warnings; warnings.filterwarnings("ignore")
import numpy as np, onnx, onnx_ir as ir, sys, collections
from onnx.backend.test.case.node import collect_testcases
from onebyone.dialects.onnx.execute import *
from onebyone.dialects.reference.arithmetic import Float64
from onebyone.dialects.onnx.semantics.base import native
from onebyone.certify.modular import Field, PRIMES
mode=sys.argv[1]
ok=0; uns=collections.Counter(); bad=[]
for case in collect_testcases(None):
    try: model=ir.from_proto(case.model)
    except Exception as e: uns['load '+str(e)[:50]]+=1; continue
    for ins,outs in case.data_sets:
        ar=Float64() if mode=='f' else Field(*PRIMES[0])
        try:
            feed={}
            for v,x in zip(model.graph.inputs,ins):
                x=native(np.asarray(x)) if not isinstance(x,(list,dict,onnx.TensorProto)) else x
                if isinstance(x,(list,dict,onnx.TensorProto)) or x is None: raise UnsupportedError('sequence')
                feed[v.name]=ar.constant(x) if x.dtype.kind=='f' else x
        except UnsupportedError: uns['seq']+=1; continue
        except Exception as e: uns['feed '+str(e)[:50]]+=1; continue
        try: got=Interpreter(model,ar).run(feed)
        except UnsupportedError as e: uns[str(e)[:60]]+=1; continue
        except ExecutionError as e: bad.append((case.name,'EXE '+str(e)[:150])); continue
        if mode!='f': ok+=1; continue
        for (n,g),want in zip(got.items(),outs):
            want=native(np.asarray(want))
            if g.shape!=want.shape: bad.append((case.name,f'shape {g.shape} {want.shape}')); break
            if want.dtype.kind=='f':
                if not np.allclose(g,want,rtol=max(case.rtol,1e-3),atol=max(case.atol,1e-5),equal_nan=True): bad.append((case.name,'diff %g'%np.nanmax(np.abs(g-want)))); break
            elif not np.array_equal(g,want): bad.append((case.name,'ints')); break
        else: ok+=1
print(ok); 
for k,v in uns.most_common(150): print(v,k)
print('BAD',len(bad))
for b in bad: print(b)
